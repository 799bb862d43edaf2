using Hone.Formats.Models;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Constraints;

/// <summary>
/// The tokens of a model by their bytes, as a trie that is walked in one sweep: nodes in the order of their texts, each with where its subtree ends. A special token, which
/// is no text, has bytes that no text has. Threads may share one.
/// </summary>
public sealed class TokenVocabulary
{
    private const byte SpecialMark = 0xFF; // never in UTF-8

    private readonly byte[][] _bytes;
    private readonly int[] _stops;
    private readonly List<byte> _label = [];
    private readonly List<short> _depth = [];
    private readonly List<int> _after = []; // the first node that is not below
    private readonly List<int> _firstToken = []; // into _order
    private readonly int[] _order;
    private readonly int[] _quoting;

    public TokenVocabulary(Tokenizer tokenizer, IReadOnlyCollection<int> stopTokens)
    {
        Size = tokenizer.VocabularySize;
        _stops = [.. stopTokens.Where(t => t < Size)];
        _bytes = new byte[Size][];
        for (int id = 0; id < Size; id++)
            _bytes[id] = tokenizer.IsSpecial(id) ? BytesOfSpecial(id) : tokenizer.BytesOf(id);
        _order = [.. Enumerable.Range(0, Size).Where(id => _bytes[id].Length is > 0 and < short.MaxValue && !_stops.Contains(id))];
        Array.Sort(_order, (a, b) => _bytes[a].AsSpan().SequenceCompareTo(_bytes[b]));
        Longest = _order.Length == 0 ? 0 : _order.Max(id => _bytes[id].Length);
        _quoting = [.. _order.Where(id => _bytes[id].Contains((byte)'"'))];
        Build();
    }

    public TokenVocabulary(BaseModel model) : this(model.Tokenizer, model.StopTokens)
    {
    }

    public int Size { get; }

    /// <summary>Bytes of the longest token.</summary>
    internal int Longest { get; }

    /// <summary>The tokens with a quote.</summary>
    internal IReadOnlyList<int> Quoting => _quoting;

    internal ReadOnlySpan<byte> BytesOf(int token) => _bytes[token];

    internal static byte[] BytesOfSpecial(int id) => [SpecialMark, .. Enumerable.Range(0, 5).Select(i => (byte)(0x80 | (id >> (6 * i) & 63)))]; // none of them ASCII

    private void Build()
    {
        var path = new List<int>();
        ReadOnlySpan<byte> before = [];
        for (int t = 0; t < _order.Length; t++)
        {
            ReadOnlySpan<byte> bytes = _bytes[_order[t]];
            int common = bytes.CommonPrefixLength(before);
            Close(path, common);
            for (int i = common; i < bytes.Length; i++)
            {
                path.Add(_label.Count);
                _label.Add(bytes[i]);
                _depth.Add((short)i);
                _after.Add(-1);
                _firstToken.Add(t);
            }
            before = bytes;
        }
        Close(path, 0);
    }

    private void Close(List<int> path, int length)
    {
        foreach (int node in path.Skip(length))
            _after[node] = _label.Count;
        path.RemoveRange(length, path.Count - length);
    }

    /// <summary>The tokens that may follow in a state.</summary>
    internal TokenMask MaskOf(Node state, NodeTable table)
    {
        var bits = new ulong[(Size + 63) / 64];
        int count = 0;
        var states = new Node[Longest + 1];
        states[0] = state;
        for (int node = 0; node < _label.Count;)
        {
            int depth = _depth[node];
            Node next = states[depth].Next(_label[node], table);
            if (next == table.Nothing)
            {
                node = _after[node];
                continue;
            }
            states[depth + 1] = next;
            // Tokens of this node: those before its first child's.
            int end = node + 1 < _label.Count ? _firstToken[node + 1] : _order.Length;
            for (int t = _firstToken[node]; t < end && _bytes[_order[t]].Length == depth + 1; t++, count++)
                bits[_order[t] >> 6] |= 1ul << (_order[t] & 63);
            node++;
        }
        if (state.CanEnd)
        {
            foreach (int stop in _stops)
                bits[stop >> 6] |= 1ul << (stop & 63);
            count += _stops.Length;
        }
        return new TokenMask(bits, count);
    }
}
