using System.Globalization;
using System.Text.Json;
using Hone.Core.Files;
using Hone.Core.Finetunes;
using Hone.Formats.Jobs;

namespace Hone.Server.OpenAI;

/// <summary>Finetunes as jobs of the dialect.</summary>
internal sealed class JobViews(FinetuneService finetunes, FileService files, TimeProvider clock)
{
    private static readonly JsonElement Auto = JsonElement.Parse("\"auto\"");

    public async Task<JobView> OfAsync(Finetune finetune, CancellationToken cancellationToken) => (await OfAsync([finetune], cancellationToken))[0];

    public async Task<IReadOnlyList<JobView>> OfAsync(IReadOnlyList<Finetune> page, CancellationToken cancellationToken)
    {
        Guid[] ids = [.. page.Select(f => f.Id)];
        var settings = await finetunes.SettingsAsync(ids, cancellationToken);
        var results = await files.ResultIdsAsync(ids, cancellationToken);
        return [.. page.Select(f => Of(f, settings.GetValueOrDefault(f.Id) ?? [], [.. results[f.Id]]))];
    }

    /// <summary>The finetune's id in a job's: <c>ftjob-</c> with 32 hex digits, or the other dialect's as it is.</summary>
    public static string? FinetuneId(string jobId)
    {
        const string prefix = "ftjob-";
        if (jobId.StartsWith(prefix, StringComparison.Ordinal) && Guid.TryParseExact(jobId[prefix.Length..], "N", out var id) || Guid.TryParseExact(jobId, "D", out id))
            return id.ToString("D");
        return null;
    }

    private JobView Of(Finetune f, IReadOnlyList<Setting> settings, IReadOnlyList<string> results)
    {
        var resolved = settings.ToDictionary(s => s.Key, s => s.Value, StringComparer.Ordinal);
        var config = f.ConfigJson is null ? new TrainingConfig() : JsonSerializer.Deserialize(f.ConfigJson, JobJson.Default.TrainingConfig)!;
        using var metrics = f.MetricsJson is null ? null : JsonDocument.Parse(f.MetricsJson);
        string type = resolved.GetValueOrDefault("method") ?? config.Method ?? "supervised";
        // Scales the automatic rate: where none was given, it is 1.
        double? multiplier = config.LearningRateMultiplier ?? (resolved.Count > 0 && config.LearningRate is null ? 1 : null);
        var hyperparameters = new HyperparametersView(Number(config.NEpochs, "n_epochs"), Number(config.BatchSize, "batch_size"), multiplier is { } given ? Json(given) : Auto);
        var method = new MethodSettingsView(type == "dpo" ? hyperparameters with { Beta = Number(config.Beta, "beta") } : hyperparameters);
        return new JobView(
            FinetuneService.JobId(f.Id), config.StartFrom ?? f.Model, f.CreatedAt.ToUnixTimeSeconds(), f.FinalizedAt?.ToUnixTimeSeconds(), f.State is FinetuneState.Ready ? FinetuneRules.ModelName(f) : null,
            f.AccountId, results, Status(f), f.ValidationFileId, f.TrainingFileId, hyperparameters,
            f.State is FinetuneState.Ready ? Metric("trained_tokens") : null, Error(f), f.IsJob ? f.Suffix : f.Name,
            f.Seed ?? config.Seed ?? (resolved.TryGetValue("seed", out string? seed) ? long.Parse(seed, CultureInfo.InvariantCulture) : null),
            f is { State: FinetuneState.Running, CancelRequested: false } && Metric("estimated_finish") is { } finish && finish >= clock.GetUtcNow().ToUnixTimeSeconds() ? finish : null,
            new MethodView(type) { Supervised = type == "dpo" ? null : method, Dpo = type == "dpo" ? method : null },
            f.MetadataJson is null ? null : JsonElement.Parse(f.MetadataJson));

        long? Metric(string name) => metrics is not null && metrics.RootElement.TryGetProperty(name, out var value) ? value.GetInt64() : null;

        JsonElement Number(double? value, string name) => value is { } number ? Json(number)
            : resolved.TryGetValue(name, out string? text) && double.TryParse(text, CultureInfo.InvariantCulture, out double known) ? Json(known) : Auto;
    }

    private static JsonElement Json(double number) => JsonElement.Parse(number.ToString("R", CultureInfo.InvariantCulture));

    private static JobErrorView? Error(Finetune f) => f.ErrorMessage is null ? null
        : new(f.ErrorCode ?? "failed", f.ErrorMessage, f.ErrorCode switch { "invalid_training_file" => "training_file", "invalid_validation_file" => "validation_file", _ => null });

    /// <summary>A job whose cancellation was asked for ends as nothing else, also where its trainer runs for a moment still.</summary>
    public static string Status(Finetune f) => (f.CancelRequested ? FinetuneState.Cancelled : f.State) switch
    {
        FinetuneState.AwaitingAssets or FinetuneState.Validating => "validating_files",
        FinetuneState.Ready => "succeeded",
        var state => state.Name(),
    };
}
