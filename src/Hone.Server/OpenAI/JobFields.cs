using System.Text.Json;
using Hone.Core.Finetunes;
using Hone.Formats;
using Hone.Formats.Jobs;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary>The fields of <c>POST /fine_tuning/jobs</c>, each with its type and range, once.</summary>
internal static class JobFields
{
    private const int MaxPairs = 16;
    private const int MaxKey = 64;
    private const int MaxValue = 512;
    private static readonly string[] Shared = ["n_epochs", "batch_size", "learning_rate_multiplier"];

    private static readonly TextField Model = new("model", "A base model's id, or a fine-tuned model's or checkpoint's name to go on with.");
    private static readonly TextField TrainingFile = new("training_file", "The id of a file.");
    private static readonly TextField ValidationFile = new("validation_file", "The id of a file.");
    private static readonly TextField Suffix = new("suffix", "Part of the new model's name.", 1, 64);
    private static readonly IntegerField Seed = new("seed", "The same seed trains the same adapter.", 0, int.MaxValue);
    private static readonly SpecialField Metadata = new("metadata", "Pairs to find the job by.", $$$"""{"type":["object","null"],"maxProperties":{{{MaxPairs}}},"additionalProperties":{"type":"string","maxLength":{{{MaxValue}}}}}""", CheckMetadata);
    private static readonly SpecialField Hyperparameters = new("hyperparameters", "Deprecated in favour of method.", """{"type":["object","null"]}""", (fields, value) =>
        CheckHyperparameters(fields, "hyperparameters", value, Shared));
    private static readonly SpecialField Method = new("method", "How to train.", """{"type":["object","null"],"properties":{"type":{"enum":["supervised","dpo"]}},"required":["type"]}""", CheckMethod);
    private static readonly SpecialField Integrations = new("integrations", "Not offered.", """{"type":["array","null"],"maxItems":0}""", (fields, value) =>
    {
        if (value.ValueKind is not JsonValueKind.Array)
            fields.Fail("integrations", $"'integrations' is {JsonBody.Name(value.ValueKind)}, it must be an array");
        else if (value.GetArrayLength() > 0)
            fields.Fail("integrations", "'integrations' are not offered: nothing leaves this server. The job's events and its result file have the figures");
    });

    public static readonly BodyShape Shape = new(
        "A fine-tuning job.", [Model, TrainingFile, ValidationFile, Suffix, Seed, Metadata, Hyperparameters, Method, Integrations],
        new BodyRule("""{"required":["model","training_file"]}""", fields =>
        {
            foreach (string name in (string[])["model", "training_file"])
            {
                if (!fields.Has(name))
                    fields.Fail(name, $"'{name}' is a required property");
            }
        }),
        new BodyRule("""{"not":{"required":["method","hyperparameters"]}}""", fields =>
        {
            if (fields.Has("method") && fields.Has("hyperparameters"))
                fields.Fail("hyperparameters", "'hyperparameters' and 'method' exclude each other: put them into method");
        }));

    /// <summary>What a body that was found sound asks for.</summary>
    public static CreateJob Read(BodyFields fields)
    {
        string? type = null;
        JsonElement? hyperparameters = Hyperparameters.Read(fields);
        if (Method.Read(fields) is { } method)
        {
            type = method.GetProperty("type").GetString();
            hyperparameters = method.TryGetProperty(type!, out var settings) && settings.ValueKind is JsonValueKind.Object && settings.TryGetProperty("hyperparameters", out var inner)
                && inner.ValueKind is JsonValueKind.Object ? inner : null;
        }
        return new CreateJob
        {
            Model = Model.Read(fields),
            TrainingFile = TrainingFile.Read(fields),
            ValidationFile = ValidationFile.Read(fields),
            Suffix = Suffix.Read(fields),
            Seed = Seed.Read(fields),
            Metadata = Metadata.Read(fields) is { } pairs ? pairs.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!, StringComparer.Ordinal) : null,
            Config = new TrainingConfig
            {
                Method = type,
                NEpochs = (int?)Number("n_epochs"),
                BatchSize = (int?)Number("batch_size"),
                LearningRateMultiplier = Number("learning_rate_multiplier"),
                Beta = Number("beta"),
            },
        };

        double? Number(string name) =>
            hyperparameters is { } all && all.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.Number ? value.GetDouble() : null;
    }

    private static void CheckMetadata(BodyFields fields, JsonElement value)
    {
        if (value.ValueKind is not JsonValueKind.Object)
        {
            fields.Fail("metadata", $"'metadata' is {JsonBody.Name(value.ValueKind)}, it must be an object");
            return;
        }
        int count = value.EnumerateObject().Count();
        if (count > MaxPairs)
            fields.Fail("metadata", $"'metadata' has {count} pairs, it may have {MaxPairs}");
        foreach (var pair in value.EnumerateObject())
        {
            if (pair.Name.EnumerateRunes().Count() is 0 or > MaxKey)
                fields.Fail("metadata", $"'metadata.{pair.Name.Shown(80)}': a key has 1 to {MaxKey} characters");
            if (pair.Value.ValueKind is not JsonValueKind.String || JsonBody.LengthOf(pair.Value) > MaxValue)
                fields.Fail("metadata", $"'metadata.{pair.Name.Shown(80)}' must be a string of at most {MaxValue} characters");
            if (fields.IsFull)
                return;
        }
        if (value.EnumerateObject().Select(p => p.Name).Distinct().Count() != count)
            fields.Fail("metadata", "'metadata' has a key twice");
    }

    private static void CheckMethod(BodyFields fields, JsonElement value)
    {
        if (value.ValueKind is not JsonValueKind.Object)
        {
            fields.Fail("method", $"'method' is {JsonBody.Name(value.ValueKind)}, it must be an object");
            return;
        }
        string? type = value.TryGetProperty("type", out var given) && given.ValueKind is JsonValueKind.String ? given.GetString() : null;
        if (type is not ("supervised" or "dpo"))
        {
            fields.Fail("method", $"'method.type' is {(type is null ? "missing" : $"'{type.Shown(60)}'")}, it must be supervised or dpo");
            return;
        }
        if (OpenAIBody.Unknown(value, ["type", type]) is { } unknown)
            fields.Fail("method", $"'method.{unknown.Shown(60)}' is not part of the method {type}");
        if (!value.TryGetProperty(type, out var settings) || settings.ValueKind is JsonValueKind.Null)
            return;
        if (settings.ValueKind is not JsonValueKind.Object)
            fields.Fail("method", $"'method.{type}' is {JsonBody.Name(settings.ValueKind)}, it must be an object");
        else if (OpenAIBody.Unknown(settings, ["hyperparameters"]) is { } other)
            fields.Fail("method", $"'method.{type}.{other.Shown(60)}' is unknown");
        else if (settings.TryGetProperty("hyperparameters", out var hyperparameters) && hyperparameters.ValueKind is not JsonValueKind.Null)
            CheckHyperparameters(fields, $"method.{type}.hyperparameters", hyperparameters, type == "dpo" ? [.. Shared, "beta"] : Shared);
    }

    private static void CheckHyperparameters(BodyFields fields, string path, JsonElement value, string[] names)
    {
        string root = path.Split('.')[0];
        if (value.ValueKind is not JsonValueKind.Object)
        {
            fields.Fail(root, $"'{path}' is {JsonBody.Name(value.ValueKind)}, it must be an object");
            return;
        }
        if (OpenAIBody.Unknown(value, names) is { } unknown)
            fields.Fail(root, $"'{path}.{unknown.Shown(60)}' is unknown; known are {string.Join(", ", names)}");
        var inner = fields.Within(value, $"{path}.");
        foreach (string name in names.Where(n => inner.Find(n) is { } found && !(found.ValueKind is JsonValueKind.String && found.ValueEquals("auto"u8))))
        {
            switch (name)
            {
                case "n_epochs": inner.Integer(name, 1, 50); break;
                case "batch_size": inner.Integer(name, 1, 256); break;
                case "beta": Above0(inner, name, 2); break;
                default: Above0(inner, name, 1e6); break;
            }
        }
    }

    private static void Above0(BodyFields fields, string name, double maximum)
    {
        if (fields.Number(name, 0, maximum) == 0)
            fields.Fail(name, $"'{fields.Prefix}{name}' is 0, it must be above 0");
    }
}
