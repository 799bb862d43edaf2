using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>The bytes that the tokens' characters stand for, as UTF-8.</summary>
internal sealed class ByteLevelDecoder : TokenDecoder
{
    private readonly byte[] _bytes;
    private readonly int[] _ends;

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="addedAsText">An added token's characters stand for themselves even where all of them are in GPT-2's alphabet.</param>
    public ByteLevelDecoder(Vocabulary vocabulary, bool addedAsText)
    {
        _ends = new int[vocabulary.Count];
        var bytes = new MemoryStream(vocabulary.Count * 8);
        for (int id = 0; id < vocabulary.Count; id++)
        {
            if (vocabulary.FindText(id) is { } text)
                bytes.Write(addedAsText && vocabulary.IsAdded(id) ? Encoding.UTF8.GetBytes(text) : ByteAlphabet.BytesOf(text));
            _ends[id] = (int)bytes.Length;
        }
        _bytes = bytes.ToArray();
    }

    public override string Decode(IReadOnlyList<int> ids)
    {
        int length = 0;
        foreach (int id in ids)
            length = checked(length + SpanOf(id).Length);
        var bytes = new byte[length];
        length = 0;
        foreach (int id in ids)
        {
            ReadOnlySpan<byte> token = SpanOf(id);
            token.CopyTo(bytes.AsSpan(length));
            length += token.Length;
        }
        return Encoding.UTF8.GetString(bytes);
    }

    public override TokenStream Start() => new Stream(this);

    public override byte[] BytesOf(int id) => SpanOf(id).ToArray();

    private ReadOnlySpan<byte> SpanOf(int id) => _bytes.AsSpan((id == 0 ? 0 : _ends[id - 1]).._ends[id]);

    private sealed class Stream(ByteLevelDecoder decoder) : TokenStream
    {
        private readonly Decoder _utf8 = Encoding.UTF8.GetDecoder();

        public override string Next(int id) => Decode(decoder.SpanOf(id), flush: false);

        public override string Flush() => Decode([], flush: true);

        private string Decode(ReadOnlySpan<byte> bytes, bool flush)
        {
            var characters = new char[_utf8.GetCharCount(bytes, flush)];
            _utf8.GetChars(bytes, characters, flush);
            return new string(characters);
        }
    }
}
