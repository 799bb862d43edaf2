using System.Text;
using System.Text.Json;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Files;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Models;

/// <summary>What a Hugging Face folder says beside config and weights: special tokens, chat template, and the tokens that end an answer.</summary>
internal sealed class HuggingFaceTexts
{
    private const int MaxBytes = 16 << 20;
    private const string SettingsFile = "tokenizer_config.json";
    private const string DefaultTemplate = "default";
    private const string ToolTemplate = "tool_use";

    private readonly string _folder;
    private readonly Tokenizer _tokenizer;

    /// <exception cref="InvalidFileException">A file cannot be read, or names what the tokenizer does not have.</exception>
    public HuggingFaceTexts(string folder, Tokenizer tokenizer)
    {
        _folder = folder;
        _tokenizer = tokenizer;
        using JsonDocument? settings = Find(SettingsFile), map = Find("special_tokens_map.json"), generation = Find("generation_config.json"), config = Find(HuggingFaceConfig.FileName), template = Find("chat_template.json");
        BosToken = Token("bos_token", settings) ?? Token("bos_token", map);
        EosToken = Token("eos_token", settings) ?? Token("eos_token", map);
        PadToken = Token("pad_token", settings) ?? Token("pad_token", map);
        Template = ReadTemplate(settings, template);
        Tokenizer = Added(settings, tokenizer);
        var stops = new List<int>();
        stops.AddRange(Ids("generation_config.json", generation));
        stops.AddRange(Ids(HuggingFaceConfig.FileName, config));
        if (EosToken is not null)
            stops.Add(tokenizer.TokenId(EosToken) ?? throw Invalid(SettingsFile, $"$.eos_token is '{EosToken}', which tokenizer.json does not have"));
        StopTokens = [.. stops.Distinct()];
    }

    public string? BosToken { get; }
    public string? EosToken { get; }
    public string? PadToken { get; }

    /// <summary>With what the settings change of it.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Null: such a model takes plain text only.</summary>
    public ChatTemplate? Template { get; }

    /// <summary>Of <c>generation_config.json</c> and <c>config.json</c>, and the tokenizer's end of text.</summary>
    public IReadOnlyList<int> StopTokens { get; }

    /// <summary>
    /// Files of their own come before the tokenizer's settings, as in transformers: <c>chat_template.jinja</c> is the one called <c>default</c>, others lie in a folder. Of several
    /// the default is taken, and <c>tool_use</c> where tools are given.
    /// </summary>
    private ChatTemplate? ReadTemplate(JsonDocument? settings, JsonDocument? file)
    {
        List<(string Name, string Where, string Source)> named = [.. TemplateFiles()];
        if (named.Count == 0)
        {
            foreach ((string name, JsonDocument? document) in new[] { ("chat_template.json", file), (SettingsFile, settings) })
            {
                if (document is not null && document.RootElement.TryGetProperty("chat_template", out JsonElement value) && value.ValueKind != JsonValueKind.Null)
                {
                    named = [.. Named(name, value)];
                    break;
                }
            }
        }
        if (named.Count == 0)
            return null;
        int chosen = named.FindIndex(t => t.Name == DefaultTemplate), tools = named.FindIndex(t => t.Name == ToolTemplate);
        if (chosen < 0)
            throw Invalid(named[0].Where, $"it has the templates {string.Join(", ", named.Select(t => t.Name))}, and none called {DefaultTemplate}");
        return Parse(named[chosen].Where, named[chosen].Source, tools < 0 ? null : Parse(named[tools].Where, named[tools].Source, null));
    }

    private IEnumerable<(string Name, string Where, string Source)> TemplateFiles()
    {
        const string Own = "chat_template.jinja";
        if (File.Exists(Path.Combine(_folder, Own)))
            yield return (DefaultTemplate, Own, Read(Own));
        string others = Path.Combine(_folder, HuggingFaceFolder.OtherTemplates);
        if (!Directory.Exists(others))
            yield break;
        foreach (string path in Directory.EnumerateFiles(others, "*.jinja").Order(StringComparer.Ordinal))
        {
            string file = Path.GetRelativePath(_folder, path);
            yield return (Path.GetFileNameWithoutExtension(path), file, Read(file));
        }
    }

    private string Read(string file)
    {
        string path = Path.Combine(_folder, file);
        return LinkedFile.Info(path).Length <= MaxBytes ? File.ReadAllText(path, new UTF8Encoding(false, throwOnInvalidBytes: false)) : throw Invalid(file, $"it has more than {MaxBytes} bytes");
    }

    /// <summary>A text, or a list of texts with names.</summary>
    private IEnumerable<(string Name, string Where, string Source)> Named(string file, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.String)
        {
            yield return (DefaultTemplate, file, value.GetString()!);
            yield break;
        }
        if (value.ValueKind != JsonValueKind.Array)
            throw Invalid(file, "$.chat_template is neither a text nor a list of named texts");
        foreach ((int i, JsonElement entry) in value.EnumerateArray().Index())
        {
            if (entry.ValueKind != JsonValueKind.Object || Text(entry, "name") is not { } name || Text(entry, "template") is not { } template)
                throw Invalid(file, $"$.chat_template[{i}] has no name and template");
            yield return (name, file, template);
        }
    }

    private ChatTemplate Parse(string file, string source, ChatTemplate? forTools)
    {
        try
        {
            ChatTemplate template = ChatTemplate.Parse(source);
            return forTools is null ? template : template.For(forTools);
        }
        catch (ChatTemplateException e)
        {
            throw new InvalidFileException($"{Path.Combine(_folder, file)}: the chat template cannot be used: {e.Message} Correct the template.", e);
        }
    }

    /// <summary>Where the settings say whether every text begins or ends with a special token, that counts, as transformers has it; else what tokenizer.json says.</summary>
    private Tokenizer Added(JsonDocument? settings, Tokenizer tokenizer)
    {
        (int? bos, bool? addsBos) = Side("bos", BosToken);
        (int? eos, bool? addsEos) = Side("eos", EosToken);
        return addsBos is null && addsEos is null ? tokenizer : tokenizer.WithAdded(addsBos is null ? null : bos, addsBos, addsEos is null ? null : eos, addsEos);

        (int? Id, bool? Adds) Side(string side, string? token)
        {
            string key = $"add_{side}_token";
            if (settings is null || !settings.RootElement.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
                return (null, null);
            if (value.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
                throw Invalid(SettingsFile, $"$.{key} is neither true nor false");
            int? id = token is null ? null : tokenizer.TokenId(token) ?? throw Invalid(SettingsFile, $"$.{side}_token is '{token}', which tokenizer.json does not have");
            bool adds = value.GetBoolean();
            return adds && id is null ? throw Invalid(SettingsFile, $"$.{key} is true, but there is no {side}_token") : (id, adds);
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
