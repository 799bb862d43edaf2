using System.Buffers;
using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// The unigram language model (Kudo 2018, arxiv.org/abs/1804.10959): of all ways to cut a word into tokens the one with the highest sum of
/// scores, found by Viterbi. A character that no token is costs ten more than the lowest score; neighbouring unknown ones are one token.
/// </summary>
internal sealed class UnigramModel : TokenModel
{
    private const double UnknownPenalty = 10;

    private readonly TokenTrie _trie;
    private readonly Vocabulary _vocabulary;
    private readonly List<double> _scores;
    private readonly double _unknownScore;
    private readonly int? _unknown;
    private readonly int[]? _byteTokens;
    private readonly string _source;

    /// <param name="vocabulary">All tokens. A special one is never a part of a word.</param>
    /// <param name="tokens">Those of the model.</param>
    /// <param name="scores">Their scores, by id.</param>
    /// <param name="unknown">The token of what is not in the vocabulary.</param>
    /// <param name="byteFallback">Whether that becomes its bytes' tokens where all of them are in the vocabulary.</param>
    /// <param name="source">What errors call the file.</param>
    public UnigramModel(Vocabulary vocabulary, Dictionary<string, int> tokens, List<double> scores, int? unknown, bool byteFallback, string source = "tokenizer.json")
    {
        (_vocabulary, _scores, _unknown, _source) = (vocabulary, scores, unknown, source);
        _unknownScore = scores.DefaultIfEmpty().Min() - UnknownPenalty;
        _trie = new TokenTrie(tokens.Where(t => !vocabulary.IsSpecial(t.Value)));
        _byteTokens = byteFallback ? ByteTokens.Of(vocabulary) : null;
    }

    public override void Encode(ReadOnlySpan<char> word, int at, ByteWord scratch, TokenBuffer output)
    {
        Node[] nodes = ArrayPool<Node>.Shared.Rent(word.Length + 1);
        try
        {
            FindBest(word, nodes.AsSpan(0, word.Length + 1));
            // The path is known from its end; marking its starts lets it be read forwards.
            for (int end = word.Length, next = -1; end >= 0; (next, end) = (end, end == 0 ? -1 : nodes[end].Start))
                nodes[end].Next = next;
            for (int start = 0; start < word.Length;)
            {
                int end = nodes[start].Next;
                bool known = nodes[end].Id != _unknown;
                int id = nodes[end].Id;
                while (!known && end < word.Length && nodes[nodes[end].Next].Id == _unknown)
                    end = nodes[end].Next;
                if (known)
                    output.Add(id, at + start, at + end);
                else
                    AddUnknown(word[start..end], at + start, output);
                start = end;
            }
        }
        finally
        {
            ArrayPool<Node>.Shared.Return(nodes);
        }
    }

    private void FindBest(ReadOnlySpan<char> word, Span<Node> nodes)
    {
        nodes.Fill(new Node(0, -1, -1));
        for (int start = 0, length; start < word.Length; start += length)
        {
            CodePoints.RuneAt(word, start, out length);
            double here = nodes[start].Score;
            bool single = false;
            int node = TokenTrie.Root;
            for (int end = start + 1; end <= word.Length && _trie.TryStep(ref node, word[end - 1]); end++)
            {
                if (_trie.TokenAt(node) is not (>= 0 and int id))
                    continue;
                Offer(ref nodes[end], here + _scores[id], start, id);
                single |= end - start == length;
            }
            if (!single)
            {
                Offer(ref nodes[start + length], here + _unknownScore, start, _unknown ?? throw new InvalidFileException(
                    $"{_source}: the tokenizer has no token for '{word.Slice(start, length)}' and no unknown token: model.unk_id is null."));
            }
        }
    }

    private static void Offer(ref Node node, double score, int start, int id)
    {
        if (node.Start < 0 || score > node.Score)
            node = new Node(score, start, id);
    }

    private void AddUnknown(ReadOnlySpan<char> text, int at, TokenBuffer output)
    {
        if (_vocabulary.TryGetModelId(text, out int id) && !_vocabulary.IsSpecial(id))
        {
            output.Add(id, at, at + text.Length);
            return;
        }
        byte[] utf8 = new byte[Encoding.UTF8.GetByteCount(text)];
        Encoding.UTF8.GetBytes(text, utf8);
        if (!ByteTokens.All(_byteTokens, utf8))
        {
            output.Add(_unknown!.Value, at, at + text.Length);
            return;
        }
        Span<byte> bytes = stackalloc byte[4];
        for (int start = 0, length; start < text.Length; start += length)
        {
            Rune rune = CodePoints.RuneAt(text, start, out length);
            foreach (byte value in bytes[..rune.EncodeToUtf8(bytes)])
                output.Add(_byteTokens![value], at + start, at + start + length);
        }
    }

    /// <summary>The best way to reach a place: its score, where its last token begins, and that token.</summary>
    private record struct Node(double Score, int Start, int Id)
    {
        public int Next { get; set; }
    }
}
