using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>Reads the long members of a model: its tokens and its merges.</summary>
internal static class VocabularyReader
{
    /// <summary>Beyond every real vocabulary; an id takes memory whether or not it has a token.</summary>
    public const int MostTokens = 1 << 21;

    /// <summary><c>{"token": id, …}</c>. Of a text that occurs twice the last id counts.</summary>
    public static Dictionary<string, int> ReadIds(ReadOnlySpan<byte> utf8, Range range, string source, string path)
    {
        var reader = new Utf8JsonReader(utf8[range]);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw JsonFields.Invalid(source, path, $"is of kind {reader.TokenType}; wanted is an object of tokens and their ids.");
        var ids = new Dictionary<string, int>(Count(reader) / 2);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string text = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out int id) || id is < 0 or >= MostTokens)
                throw JsonFields.Invalid(source, $"{path}[{JsonFields.Quote(text)}]", $"is no token's id: wanted is a whole number below {MostTokens:N0}.");
            ids[text] = id;
        }
        return ids;
    }

    /// <summary><c>[["token", score], …]</c>, the ids by their order.</summary>
    public static (List<string> Texts, List<double> Scores) ReadScores(ReadOnlySpan<byte> utf8, Range range, string source, string path)
    {
        var reader = new Utf8JsonReader(utf8[range]);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray)
            throw JsonFields.Invalid(source, path, $"is of kind {reader.TokenType}; wanted is an array of tokens and their scores.");
        List<string> texts = [];
        List<double> scores = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.StartArray)
        {
            if (!(reader.Read() && reader.TokenType == JsonTokenType.String))
                throw Invalid();
            texts.Add(reader.GetString()!);
            if (!(reader.Read() && reader.TokenType == JsonTokenType.Number && reader.TryGetDouble(out double score) && double.IsFinite(score)))
                throw Invalid();
            scores.Add(score);
            if (!(reader.Read() && reader.TokenType == JsonTokenType.EndArray) || texts.Count > MostTokens)
                throw Invalid();
        }
        return reader.TokenType == JsonTokenType.EndArray ? (texts, scores) : throw Invalid();

        InvalidFileException Invalid() => JsonFields.Invalid(source, $"{path}[{Math.Min(texts.Count, scores.Count)}]", "is not a token and its score: [\"text\", number].");
    }

    /// <summary>
    /// <c>["left right", …]</c> or <c>[["left", "right"], …]</c>. A merge into a special token is left out: the text of such a token is cut out
    /// before, and where it is not to be recognised it has to stay text.
    /// </summary>
    /// <param name="utf8">The file.</param>
    /// <param name="range">The array.</param>
    /// <param name="vocabulary">The tokens.</param>
    /// <param name="source">The file's name.</param>
    /// <param name="path">The array's place.</param>
    /// <param name="joined">Takes each merge's two characters that meet, see <see cref="CharacterSymbols.PairOf(int, int)"/>; null for none.</param>
    public static MergeTable ReadMerges(ReadOnlySpan<byte> utf8, Range range, Vocabulary vocabulary, string source, string path, HashSet<ulong>? joined)
    {
        var reader = new Utf8JsonReader(utf8[range]);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray)
            throw JsonFields.Invalid(source, path, $"is of kind {reader.TokenType}; wanted is an array.");
        var table = new MergeTable(Count(reader));
        char[] both = new char[256];
        for (int rank = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray; rank++)
        {
            (int left, int length) = (0, 0);
            if (reader.TokenType == JsonTokenType.String)
            {
                length = Append(ref reader, ref both, 0);
                left = both.AsSpan(0, length).IndexOf(' ');
                if (left < 0 || both.AsSpan(left + 1, length - left - 1).Contains(' '))
                    throw JsonFields.Invalid(source, $"{path}[{rank}]", $"({JsonFields.Quote(new string(both, 0, length))}) is not two tokens with a space between them.");
                both.AsSpan(left + 1, length - left - 1).CopyTo(both.AsSpan(left));
                length--;
            }
            else
            {
                bool pair = reader.TokenType == JsonTokenType.StartArray && reader.Read() && reader.TokenType == JsonTokenType.String;
                if (pair)
                    left = Append(ref reader, ref both, 0);
                pair = pair && reader.Read() && reader.TokenType == JsonTokenType.String;
                if (pair)
                    length = Append(ref reader, ref both, left);
                if (!pair || !reader.Read() || reader.TokenType != JsonTokenType.EndArray)
                    throw JsonFields.Invalid(source, $"{path}[{rank}]", "is not two tokens.");
            }
            ReadOnlySpan<char> text = both.AsSpan(0, length);
            int leftId = IdOf(text[..left], rank), rightId = IdOf(text[left..], rank), id = IdOf(text, rank);
            if (vocabulary.IsSpecial(id))
                continue;
            table.Add(leftId, rightId, new Merge(rank, id));
            if (left > 0 && left < length)
                joined?.Add(CharacterSymbols.PairOf(text[..left], text[left..]));
        }
        return table;

        int IdOf(ReadOnlySpan<char> text, int rank) => vocabulary.TryGetModelId(text, out int id) ? id
            : throw JsonFields.Invalid(source, $"{path}[{rank}]", $"needs the token {JsonFields.Quote(text.ToString())}, which the vocabulary does not have.");
    }

    private static int Append(ref Utf8JsonReader reader, ref char[] buffer, int at)
    {
        int most = at + reader.ValueSpan.Length;
        if (most > buffer.Length)
            Array.Resize(ref buffer, most * 2);
        return at + reader.CopyString(buffer.AsSpan(at));
    }

    /// <summary>The values right inside the array or object that the reader is at, where a member of an object counts twice.</summary>
    private static int Count(Utf8JsonReader reader)
    {
        int count = 0;
        int depth = reader.CurrentDepth + 1;
        while (reader.Read() && reader.CurrentDepth >= depth)
        {
            count++;
            reader.Skip();
        }
        return count;
    }
}
