using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>Reads <c>added_tokens</c>, whose ids have to be those that the tokenizers library gives them.</summary>
internal static class AddedTokensReader
{
    public static List<AddedToken> Read(JsonElement? value, string source, Dictionary<string, int> model, int modelCount)
    {
        List<AddedToken> tokens = [];
        if (value is null)
            return tokens;
        if (value.Value.ValueKind != JsonValueKind.Array)
            throw JsonFields.Invalid(source, "added_tokens", $"is {JsonFields.Quote(value.Value)}; wanted is an array.");
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        int highest = -1;
        foreach ((int i, JsonElement item) in value.Value.EnumerateArray().Index())
        {
            var fields = new JsonFields(source, $"added_tokens[{i}]", item);
            var token = new AddedToken(fields.Text("content"), fields.Number("id"))
            {
                SingleWord = fields.Flag("single_word"),
                LeftStrip = fields.Flag("lstrip"),
                RightStrip = fields.Flag("rstrip"),
                Normalized = fields.Flag("normalized"),
                Special = fields.Flag("special"),
            };
            fields.Done();
            if (token.Id is < 0 or >= VocabularyReader.MostTokens)
                throw fields.Error("id", $"is {token.Id}; wanted is a whole number below {VocabularyReader.MostTokens:N0}.");
            if (token.Text.Length == 0)
                throw fields.Error("content", "is empty.");
            if (seen.TryGetValue(token.Text, out int first))
                throw fields.Error("content", $"({JsonFields.Quote(token.Text)}) is that of added_tokens[{first}] too.");
            // A token that the model knows has its id there; the others are counted on.
            int wanted = model.TryGetValue(token.Text, out int id) ? id : highest >= modelCount || (modelCount == 0 && highest >= 0) ? highest + 1 : modelCount;
            if (wanted != token.Id)
                throw fields.Error("id", $"is {token.Id}, but {JsonFields.Quote(token.Text)} gets the id {wanted}: {(model.ContainsKey(token.Text) ? "the model's vocabulary has it there" : "that is the next one free")}.");
            highest = Math.Max(highest, token.Id);
            seen.Add(token.Text, i);
            tokens.Add(token);
        }
        return tokens;
    }
}
