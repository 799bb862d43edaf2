using System.Text;
using System.Text.Json;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Models;

/// <summary>What a Hugging Face folder says beside config and weights: special tokens, chat template, and the tokens that end an answer.</summary>
internal sealed class HuggingFaceTexts
{
    private const int MaxBytes = 16 << 20;
    private const string DefaultTemplate = "default";

    private readonly string _folder;
    private readonly Tokenizer _tokenizer;

    /// <exception cref="InvalidFileException">A file cannot be read, or names what the tokenizer does not have.</exception>
    public HuggingFaceTexts(string folder, Tokenizer tokenizer)
    {
        _folder = folder;
        _tokenizer = tokenizer;
        using JsonDocument? settings = Find("tokenizer_config.json"), map = Find("special_tokens_map.json"), generation = Find("generation_config.json"), config = Find(HuggingFaceConfig.FileName), template = Find("chat_template.json");
        BosToken = Token("bos_token", settings) ?? Token("bos_token", map);
        EosToken = Token("eos_token", settings) ?? Token("eos_token", map);
        Template = ReadTemplate(settings, template);
        var stops = new List<int>();
        stops.AddRange(Ids("generation_config.json", generation));
        stops.AddRange(Ids(HuggingFaceConfig.FileName, config));
        if (EosToken is not null)
            stops.Add(tokenizer.TokenId(EosToken) ?? throw Invalid("tokenizer_config.json", $"$.eos_token is '{EosToken}', which tokenizer.json does not have"));
        StopTokens = [.. stops.Distinct()];
    }

    public string? BosToken { get; }
    public string? EosToken { get; }

    /// <summary>Null: such a model takes plain text only.</summary>
    public ChatTemplate? Template { get; }

    /// <summary>Of <c>generation_config.json</c> and <c>config.json</c>, and the tokenizer's end of text.</summary>
    public IReadOnlyList<int> StopTokens { get; }

    /// <summary>A file of its own comes before the tokenizer's settings; of several named templates the one called <c>default</c>.</summary>
    private ChatTemplate? ReadTemplate(JsonDocument? settings, JsonDocument? file)
    {
        const string Own = "chat_template.jinja";
        string path = Path.Combine(_folder, Own);
        if (File.Exists(path))
        {
            if (new FileInfo(path).Length > MaxBytes)
                throw Invalid(Own, $"it has more than {MaxBytes} bytes");
            return Parse(Own, File.ReadAllText(path, new UTF8Encoding(false, throwOnInvalidBytes: false)));
        }
        foreach ((string name, JsonDocument? document) in new[] { ("chat_template.json", file), ("tokenizer_config.json", settings) })
        {
            if (document is null || !document.RootElement.TryGetProperty("chat_template", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
                continue;
            return value.ValueKind switch
            {
                JsonValueKind.String => Parse(name, value.GetString()!),
                JsonValueKind.Array => Parse(name, Default(name, value)),
                _ => throw Invalid(name, "$.chat_template is neither a text nor a list of named texts"),
            };
        }
        return null;
    }

    private string Default(string file, JsonElement templates)
    {
        var names = new List<string>();
        foreach (JsonElement entry in templates.EnumerateArray())
        {
            if (entry.ValueKind != JsonValueKind.Object || Text(entry, "name") is not { } name || Text(entry, "template") is not { } template)
                throw Invalid(file, $"$.chat_template[{names.Count}] has no name and template");
            if (name == DefaultTemplate)
                return template;
            names.Add(name);
        }
        throw Invalid(file, $"$.chat_template has the templates {string.Join(", ", names)}, and none called {DefaultTemplate}");
    }

    private ChatTemplate Parse(string file, string source)
    {
        try
        {
            return ChatTemplate.Parse(source);
        }
        catch (ChatTemplateException e)
        {
            throw new InvalidFileException($"{Path.Combine(_folder, file)}: the chat template cannot be used: {e.Message} Correct the template.", e);
        }
    }

    /// <summary>A token's text, or an object that holds it as <c>content</c>.</summary>
    private static string? Token(string key, JsonDocument? document)
    {
        if (document is null || !document.RootElement.TryGetProperty(key, out JsonElement value))
            return null;
        return value.ValueKind switch
        {
            JsonValueKind.String => value.GetString(),
            JsonValueKind.Object => Text(value, "content"),
            _ => null,
        };
    }

    /// <summary><c>eos_token_id</c>: a number, or a list of them.</summary>
    private List<int> Ids(string file, JsonDocument? document)
    {
        var ids = new List<int>();
        if (document is null || !document.RootElement.TryGetProperty("eos_token_id", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return ids;
        foreach (JsonElement element in value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : new[] { value })
        {
            if (element.ValueKind != JsonValueKind.Number || !element.TryGetInt32(out int id) || id < 0 || id >= _tokenizer.VocabularySize)
                throw Invalid(file, $"$.eos_token_id holds {element.GetRawText()}, but the tokenizer has {_tokenizer.VocabularySize} tokens");
            ids.Add(id);
        }
        return ids;
    }

    private static string? Text(JsonElement value, string key) => value.TryGetProperty(key, out JsonElement text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;

    private JsonDocument? Find(string name)
    {
        string path = Path.Combine(_folder, name);
        return File.Exists(path) ? ModelJsonFile.Parse(path, MaxBytes) : null;
    }

    private InvalidFileException Invalid(string file, string what) => new($"{Path.Combine(_folder, file)}: {what}. Correct the file, or get it anew.");
}
