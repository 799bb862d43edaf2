using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>Reads <c>post_processor</c>: the tokens before and after a text.</summary>
internal static class PostProcessorReader
{
    public static (int[] Beginning, int[] End) Read(JsonElement? value, string source, Vocabulary vocabulary)
    {
        List<int> beginning = [];
        List<int> end = [];
        if (value is { } processor)
            Read(new JsonFields(source, "post_processor", processor), vocabulary, beginning, end);
        return ([.. beginning], [.. end]);
    }

    private static void Read(JsonFields fields, Vocabulary vocabulary, List<int> beginning, List<int> end)
    {
        string type = fields.Text("type");
        switch (type)
        {
            case "Sequence":
                foreach (JsonFields item in fields.Objects("processors"))
                    Read(item, vocabulary, beginning, end); // each puts its tokens around those of the one before
                break;
            case "ByteLevel":
                break;
            case "RobertaProcessing" or "BertProcessing":
                beginning.Insert(0, Token(fields, "cls", vocabulary));
                end.Add(Token(fields, "sep", vocabulary));
                break;
            case "TemplateProcessing":
                Template(fields, vocabulary, beginning, end);
                break;
            default:
                throw fields.Error("type", $"is {JsonFields.Quote(type)}. Supported are Sequence, ByteLevel, TemplateProcessing, RobertaProcessing and BertProcessing.");
        }
        // These change offsets alone; Command R's template still has the ones of the ByteLevel that it was.
        fields.Flag("add_prefix_space", true);
        fields.Flag("trim_offsets", true);
        fields.Flag("use_regex", true);
        fields.Done();
    }

    private static void Template(JsonFields fields, Vocabulary vocabulary, List<int> beginning, List<int> end)
    {
        Dictionary<string, int[]> tokens = SpecialTokens(fields, vocabulary);
        fields.Optional("pair"); // one text at a time
        bool seen = false;
        List<int> before = [];
        foreach (JsonFields piece in fields.Objects("single"))
        {
            if (piece.OptionalObject("Sequence") is { } sequence)
            {
                string id = sequence.Text("id");
                if (id != "A" || seen)
                    throw sequence.Error("id", $"is {JsonFields.Quote(id)}: wanted is the text \"A\" once.");
                sequence.OptionalNumber("type_id");
                sequence.Done();
                seen = true;
            }
            else
            {
                JsonFields special = piece.Object("SpecialToken");
                string name = special.Text("id");
                special.OptionalNumber("type_id");
                special.Done();
                (seen ? end : before).AddRange(tokens.TryGetValue(name, out int[]? ids) ? ids : throw special.Error("id", $"is {JsonFields.Quote(name)}, which special_tokens does not have."));
            }
            piece.Done();
        }
        if (!seen)
            throw fields.Error("single", "has no {\"Sequence\": {\"id\": \"A\"}}, where the text goes.");
        beginning.InsertRange(0, before);
    }

    private static Dictionary<string, int[]> SpecialTokens(JsonFields fields, Vocabulary vocabulary)
    {
        var tokens = new Dictionary<string, int[]>(StringComparer.Ordinal);
        if (fields.OptionalObject("special_tokens") is not { } specials)
            return tokens;
        foreach ((string name, JsonElement value) in specials.All())
        {
            var token = new JsonFields(fields.Source, specials.PathOf(JsonFields.Quote(name)[1..^1]), value);
            token.OptionalText("id");
            token.Optional("tokens");
            JsonElement ids = token.Required("ids");
            if (ids.ValueKind != JsonValueKind.Array)
                throw token.Error("ids", $"is {JsonFields.Quote(ids)}; wanted is an array.");
            tokens[name] = [.. ids.EnumerateArray().Select((id, i) => Known(token, $"ids[{i}]", id, vocabulary))];
            token.Done();
        }
        return tokens;
    }

    private static int Token(JsonFields fields, string name, Vocabulary vocabulary)
    {
        JsonElement value = fields.Required(name);
        return value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 2 ? Known(fields, name, value[1], vocabulary)
            : throw fields.Error(name, $"is {JsonFields.Quote(value)}; wanted is [\"token\", id].");
    }

    private static int Known(JsonFields fields, string name, JsonElement value, Vocabulary vocabulary) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) && vocabulary.FindText(id) is not null ? id
        : throw fields.Error(name, $"is {JsonFields.Quote(value)}, which is no token of the vocabulary.");
}
