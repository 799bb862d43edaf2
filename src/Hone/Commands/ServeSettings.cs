using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Core;
using Hone.Server.Auth;

namespace Hone.Commands;

/// <summary>
/// What <c>hone serve</c> allows its clients. Each setting is an option, else an environment variable, else a field of <c>settings.json</c> in the data folder,
/// else the default.
/// </summary>
internal sealed class ServeSettings
{
    public const string FileName = "settings.json";

    /// <param name="Name">As an option: <c>--adapter-rank</c>; also <c>HONE_ADAPTER_RANK</c> and <c>adapter_rank</c>.</param>
    /// <param name="Set">Null where the text is no such value.</param>
    private sealed record Setting(string Name, string HelpName, string Description, string Expected, Func<Values, string, Values?> Set)
    {
        public string Variable => "HONE_" + Field.ToUpperInvariant();

        public string Field => Name.Replace('-', '_');
    }

    internal sealed record Values(HoneLimits Core, RateLimit? Rate, IReadOnlyList<string> Origins);

    private static readonly Setting[] s_all =
    [
        new("rate-limit", "N/SECONDS", "Requests of a token in so many seconds, or off. Default: 1200/300.", "requests and seconds such as 1200/300, or off",
            (values, text) => RateLimit.TryParse(text, out RateLimit? rate) ? values with { Rate = rate } : null),
        new("finetunes-per-account", "N", "Finetunes that an account may have. Default: 100.", "a number from 1 to 1000000",
            (values, text) => Number(text, 1_000_000) is { } number ? values with { Core = values.Core with { FinetunesPerAccount = number } } : null),
        new("adapter-size", "SIZE", "Size of an uploaded adapter_model.safetensors, such as 300M. Default: 300M.", "a number and a unit, such as 300M or 1.5G",
            (values, text) => ByteSize.Parse(text) is { } bytes ? values with { Core = values.Core with { AdapterBytes = bytes } } : null),
        new("adapter-rank", "N", "Rank of an uploaded adapter. Default: 32.", "a number from 1 to 4096",
            (values, text) => Number(text, 4096) is { } number ? values with { Core = values.Core with { AdapterRank = number } } : null),
        new("adapter-model-types", "TYPES", "What an uploaded adapter_config.json may state as model_type, such as mistral,gemma,llama, or any. Default: any.", "names parted by commas, or any",
            (values, text) => Names(text) is { } names ? values with { Core = values.Core with { AdapterModelTypes = names is ["any"] ? null : names } } : null),
        new("training-data-size", "SIZE", "Size of an uploaded training or validation file. Default: 512M.", "a number and a unit, such as 512M or 2G",
            (values, text) => ByteSize.Parse(text) is { } bytes ? values with { Core = values.Core with { TrainingDataBytes = bytes } } : null),
        new("allow-origins", "ORIGINS", "Web pages whose scripts may call the API, such as https://app.example.com, or *. Default: none.", "origins such as https://app.example.com parted by commas, or *",
            (values, text) => Names(text) is { } origins && (origins is ["*"] || origins.All(IsOrigin)) ? values with { Origins = origins } : null),
    ];

    private readonly Option<string?>[] _options = [.. s_all.Select(setting => new Option<string?>("--" + setting.Name) { Description = setting.Description, HelpName = setting.HelpName })];

    public void AddTo(Command command)
    {
        foreach (Option option in _options)
            command.Options.Add(option);
    }

    public IEnumerable<string> UsageErrors(ParseResult parse)
    {
        foreach ((Setting setting, Option<string?> option) in s_all.Zip(_options))
        {
            if (parse.GetValue(option) is { } given && setting.Set(new Values(new HoneLimits(), null, []), given) is null)
                yield return $"--{setting.Name} {given}: {setting.Expected} is expected.";
        }
    }

    public Values Read(ParseResult parse, string dataFolder) =>
        Read([.. _options.Select(parse.GetValue)], Environment.GetEnvironmentVariable, Path.Combine(dataFolder, FileName));

    internal static Values Read(IReadOnlyList<string?> given, Func<string, string?> variable, string file)
    {
        Dictionary<string, string> fields = File.Exists(file) ? ReadFile(file) : [];
        var values = new Values(new HoneLimits(), RateLimit.Default, []);
        for (int i = 0; i < s_all.Length; i++)
        {
            Setting setting = s_all[i];
            (string? text, string origin) = given[i] is { } option ? (option, $"--{setting.Name}")
                : variable(setting.Variable) is { Length: > 0 } environment ? (environment, setting.Variable)
                : (fields.GetValueOrDefault(setting.Field), $"{setting.Field} in {file}");
            if (text is not null)
                values = setting.Set(values, text) ?? throw new CliException($"{origin} is \"{text}\": {setting.Expected} is expected.");
        }
        return values;
    }

    private static Dictionary<string, string> ReadFile(string file)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            var fields = new Dictionary<string, string>();
            foreach (JsonProperty field in document.RootElement.EnumerateObject())
            {
                if (!Array.Exists(s_all, setting => setting.Field == field.Name))
                    throw new CliException($"{file} has a field \"{field.Name}\", which is no setting.", $"there are {string.Join(", ", s_all.Select(setting => setting.Field))}.");
                fields[field.Name] = field.Value.ToString();
            }
            return fields;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CliException($"{file} cannot be read as settings: {e.Message}", "it holds one JSON object, such as {\"adapter_rank\": 64}.", e);
        }
    }

    private static string[]? Names(string text) => text.Split(',', StringSplitOptions.TrimEntries) is var names && names.All(n => n.Length > 0) ? names : null;

    private static bool IsOrigin(string text) => Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https" && url.GetLeftPart(UriPartial.Authority) == text;

    private static int? Number(string text, int most) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= 1 && number <= most ? number : null;
}
