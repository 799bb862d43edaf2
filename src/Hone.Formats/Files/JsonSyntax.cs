using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Hone.Formats.Files;

/// <param name="Offset">In the checked bytes.</param>
/// <param name="Reason">In words that also fit where it has been said that something is no JSON.</param>
internal readonly record struct JsonFault(int Offset, string? Path, string Code, string Reason, string Hint)
{
    public const string NotJson = "not_json";

    public string Message => Code == NotJson ? "not JSON: " + Reason : Reason;
}

/// <summary>
/// Is this JSON, strictly (RFC 8259), in UTF-8, without NUL, half surrogates or a key twice in one object, and not nested too deeply?
/// One pass without allocation while nothing is wrong. Reused for many lines.
/// </summary>
/// <param name="whole">What the checked text is, in a word: <see cref="Row"/>, which is one line, or something that may have many.</param>
/// <param name="maxDepth">Levels of objects and lists that it may have, <see cref="MaxDepth"/> at most.</param>
internal sealed class JsonSyntax(string whole, int maxDepth = JsonSyntax.MaxDepth)
{
    public const string Row = "row";

    public const int MaxDepth = 64;

    public const string TooDeep = "nested_too_deeply";

    private const int ManyKeys = 16;

    private readonly record struct Name(int Start, int Length, int Hash, bool Escaped);

    private struct Frame
    {
        public bool IsObject;
        public int FirstName, Index;
        public Dictionary<string, int>? Seen;
    }

    private readonly Frame[] _frames = new Frame[MaxDepth + 1];
    private readonly List<Name> _names = [];

    /// <summary>What is wrong with a file that the parser refuses, and what to do.</summary>
    public static string Explain(ReadOnlySpan<byte> json, JsonException refused)
    {
        var faults = new List<JsonFault>();
        new JsonSyntax("file").Check(json, faults);
        return faults is [var first, ..] ? $"byte {first.Offset}: {first.Reason} {first.Hint}" : refused.Message;
    }

    /// <returns>Can the bytes be parsed? Faults may be found either way.</returns>
    public bool Check(ReadOnlySpan<byte> json, List<JsonFault> faults)
    {
        if (Encoding(json) is { } encoding)
        {
            faults.Add(encoding);
            return false;
        }
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = int.MaxValue });
        _names.Clear();
        int depth = 0;
        try
        {
            while (reader.Read())
            {
                if (depth > 0 && !_frames[depth].IsObject && reader.TokenType is not (JsonTokenType.EndArray or JsonTokenType.EndObject))
                    _frames[depth].Index++;
                switch (reader.TokenType)
                {
                    case JsonTokenType.StartObject or JsonTokenType.StartArray:
                        if (++depth > maxDepth)
                        {
                            faults.Add(new((int)reader.TokenStartIndex, null, TooDeep, $"nested too deeply: more than {maxDepth} levels of objects and lists.",
                                "Flatten the value, or leave it out."));
                            return false;
                        }
                        _frames[depth] = new Frame { IsObject = reader.TokenType == JsonTokenType.StartObject, FirstName = _names.Count, Index = -1 };
                        break;
                    case JsonTokenType.EndObject or JsonTokenType.EndArray:
                        _names.RemoveRange(_frames[depth].FirstName, _names.Count - _frames[depth].FirstName);
                        depth--;
                        break;
                    case JsonTokenType.PropertyName:
                        CheckText(ref reader, json, depth, faults);
                        AddName(ref reader, json, depth, faults);
                        break;
                    case JsonTokenType.String:
                        CheckText(ref reader, json, depth, faults);
                        break;
                }
            }
            return true;
        }
        catch (JsonException e)
        {
            faults.Add(JsonFaultFinder.Explain(json, e, reader.TokenType, depth, (int)reader.BytesConsumed, whole));
            return false;
        }
    }

    private JsonFault? Encoding(ReadOnlySpan<byte> json)
    {
        int nul = json.IndexOf((byte)0);
        if (nul >= 0)
        {
            bool all = json.IndexOfAnyExcept((byte)0) < 0;
            return new(nul, null, "nul_byte", all ? $"NUL byte: the line is nothing but {json.Length:N0} of them." : $"NUL byte at column {JsonFaultFinder.Column(json, nul)}.",
                all ? "The file was padded or written only in part; cut it after the last row or write it again." : "Write the file again as plain UTF-8 text, without the byte.");
        }
        if (!Utf8.IsValid(json))
        {
            int at = 0;
            while (Rune.DecodeFromUtf8(json[at..], out _, out int length) == System.Buffers.OperationStatus.Done)
                at += length;
            return new(at, null, "not_utf8", $"not UTF-8: byte 0x{json[at]:X2} at column {JsonFaultFinder.Column(json, at)} is no character there.",
                json[at] >= 0xA0 && at + 1 < json.Length && json[at + 1] < 0x80
                    ? $"The file looks like Latin-1 or Windows-1252 (this byte would be '{(char)json[at]}' there); save it as UTF-8."
                    : "Save the file as UTF-8.");
        }
        if (json.StartsWith("\uFEFF"u8))
            return whole != Row ? new(0, null, "byte_order_mark", $"the {whole} begins with a byte order mark (U+FEFF).", "Save it without one.")
                : new(0, null, "byte_order_mark_inside", "a byte order mark (U+FEFF) in the middle of the file.", "Take it out; only a file's very first bytes may be one. Joining files leaves them behind.");
        return null;
    }

    private void CheckText(ref Utf8JsonReader reader, ReadOnlySpan<byte> json, int depth, List<JsonFault> faults)
    {
        if (!reader.ValueIsEscaped)
            return;
        var text = reader.ValueSpan;
        for (int i = text.IndexOf((byte)'\\'); i >= 0 && i < text.Length - 1; i++)
        {
            if (text[i] != '\\')
                continue;
            if (text[++i] != 'u')
                continue;
            int unit = Hex(text[(i + 1)..]);
            if (unit is >= 0xD800 and < 0xDC00 && i + 10 < text.Length && text[i + 5] == '\\' && text[i + 6] == 'u' && Hex(text[(i + 7)..]) is >= 0xDC00 and < 0xE000)
            {
                i += 10;
                continue;
            }
            if (unit is >= 0xD800 and < 0xE000)
            {
                string path = PathAt(json, depth) is var p && reader.TokenType == JsonTokenType.PropertyName ? p[..Math.Max(1, p.LastIndexOf('.'))] : p;
                faults.Add(new((int)reader.TokenStartIndex + i, path, "lone_surrogate", $@"\u{unit:x4} is half a surrogate pair, no character.",
                    "Write the character itself, or both halves of the pair; cutting a text in the middle of an emoji leaves such a half."));
                return;
            }
            i += 4;
        }
    }

    private static int Hex(ReadOnlySpan<byte> digits)
        => System.Buffers.Text.Utf8Parser.TryParse(digits[..Math.Min(4, digits.Length)], out int value, out int used, 'x') && used == 4 ? value : -1;

    private void AddName(ref Utf8JsonReader reader, ReadOnlySpan<byte> json, int depth, List<JsonFault> faults)
    {
        var text = reader.ValueSpan;
        ref Frame frame = ref _frames[depth];
        int start = (int)reader.TokenStartIndex + 1;
        var name = new Name(start, text.Length, Hash(text), reader.ValueIsEscaped);
        bool twice = false;
        if (_names.Count - frame.FirstName >= ManyKeys)
        {
            if (frame.Seen is null)
            {
                frame.Seen = [];
                for (int i = frame.FirstName; i < _names.Count; i++)
                    frame.Seen.TryAdd(Text(json, _names[i]), 0);
            }
            twice = !frame.Seen.TryAdd(Text(json, name), 0);
        }
        else
        {
            for (int i = frame.FirstName; i < _names.Count && !twice; i++)
                twice = name.Escaped || _names[i].Escaped ? Text(json, name) == Text(json, _names[i])
                    : name.Hash == _names[i].Hash && text.SequenceEqual(json.Slice(_names[i].Start, _names[i].Length));
        }
        _names.Add(name);
        if (twice)
            faults.Add(new(start - 1, PathAt(json, depth), "duplicate_key", $"key {Text(json, name).Shown(60)} appears twice in one object; readers take one of the two and drop the other.", "Keep one of them."));
    }

    private static int Hash(ReadOnlySpan<byte> text) => text.Length == 0 ? 0 : text.Length * 31 + text[0] * 961 + text[^1];

    private static string Text(ReadOnlySpan<byte> json, Name name)
    {
        var raw = json.Slice(name.Start, name.Length);
        if (!name.Escaped)
            return System.Text.Encoding.UTF8.GetString(raw);
        var reader = new Utf8JsonReader(json.Slice(name.Start - 1, name.Length + 2));
        reader.Read();
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // Half a surrogate pair in a key: reported on its own, compared as it is written.
            return System.Text.Encoding.UTF8.GetString(raw);
        }
    }

    private string PathAt(ReadOnlySpan<byte> json, int depth)
    {
        var path = new StringBuilder("$");
        for (int d = 1; d <= depth; d++)
        {
            if (!_frames[d].IsObject)
                path.Append('[').Append(_frames[d].Index).Append(']');
            else
            {
                int last = d < depth ? _frames[d + 1].FirstName - 1 : _names.Count - 1;
                if (last >= _frames[d].FirstName)
                    path.Append('.').Append(Text(json, _names[last]).Shown(60));
            }
        }
        return path.ToString();
    }
}
