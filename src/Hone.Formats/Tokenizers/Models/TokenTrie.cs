namespace Hone.Formats.Tokenizers;

/// <summary>Tokens by their characters: finds all that a text begins with. The edges lie in one open-addressing table.</summary>
internal sealed class TokenTrie
{
    public const int Root = 0;

    private const int MostNodes = 1 << 24;

    private readonly List<int> _tokens = [-1];
    private ulong[] _keys = new ulong[1 << 12]; // (node << 16 | unit) + 1; 0 is an empty slot
    private int[] _nodes = new int[1 << 12];
    private int _shift = 64 - 12;

    public TokenTrie(IEnumerable<KeyValuePair<string, int>> tokens)
    {
        foreach ((string text, int id) in tokens)
        {
            int node = Root;
            foreach (char unit in text)
                node = Child(node, unit);
            if (text.Length > 0)
                _tokens[node] = id;
        }
    }

    /// <summary>The token that ends at a node; -1 for none.</summary>
    public int TokenAt(int node) => _tokens[node];

    public bool TryStep(ref int node, char unit)
    {
        int at = Find(Key(node, unit));
        node = _nodes[at];
        return _keys[at] != 0;
    }

    private int Child(int node, char unit)
    {
        ulong key = Key(node, unit);
        int at = Find(key);
        if (_keys[at] != 0)
            return _nodes[at];
        if (_tokens.Count >= MostNodes)
            throw new InvalidFileException($"The tokenizer's vocabulary has more than {MostNodes:N0} different beginnings of tokens, which no real one has.");
        int child = _tokens.Count;
        _tokens.Add(-1);
        (_keys[at], _nodes[at]) = (key, child);
        if (child * 2 > _keys.Length)
            Grow();
        return child;
    }

    private void Grow()
    {
        (ulong[] keys, int[] nodes) = (_keys, _nodes);
        _keys = new ulong[keys.Length * 2];
        _nodes = new int[keys.Length * 2];
        _shift--;
        for (int i = 0; i < keys.Length; i++)
        {
            if (keys[i] == 0)
                continue;
            int at = Find(keys[i]);
            (_keys[at], _nodes[at]) = (keys[i], nodes[i]);
        }
    }

    private int Find(ulong key)
    {
        int at = (int)((key * 0x9E3779B97F4A7C15) >> _shift);
        while (_keys[at] != key && _keys[at] != 0)
            at = (at + 1) & (_keys.Length - 1);
        return at;
    }

    private static ulong Key(int node, char unit) => (((ulong)(uint)node << 16) | unit) + 1;
}
