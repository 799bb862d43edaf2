using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Client;
using Hone.Commands.Finetunes;
using Hone.Formats.Files;
using Hone.Terminals;

namespace Hone.Quickstart;

internal sealed record QuickstartOptions
{
    public const string Model = "@cf/huggingfacetb/smollm2-135m-instruct";

    /// <summary>Null: a new folder in the system's temporary one.</summary>
    public string? DataFolder { get; init; }

    /// <summary>Null: the example that comes with Hone.</summary>
    public string? ExamplesFolder { get; init; }

    /// <summary>A training_config.json; null: everything is left to Hone.</summary>
    public string? ConfigFile { get; init; }
    public long Seed { get; init; } = 1;
    public bool KeepServing { get; init; }
}

/// <summary>
/// The whole way, over the public HTTP API alone: (1) start a server, (2) create a finetune, (3) upload, (4) follow the training, (5) fetch the adapter,
/// (6) ask base and adapter what neither has seen, (7) show both.
/// </summary>
internal sealed class QuickstartRun(QuickstartOptions options, Terminal terminal, TimeProvider clock)
{
    private const string Name = "support-triage";

    private long _started;

    public async Task<QuickstartResult> RunAsync(CancellationToken cancellationToken)
    {
        _started = clock.GetTimestamp();
        Examples examples = Examples.Open(options.ExamplesFolder);
        byte[] config = Config();
        string folder = options.DataFolder is { } given ? Path.GetFullPath(given) : Directory.CreateTempSubdirectory("hone-quickstart-").FullName;
        bool done = false;
        try
        {
            terminal.Line($"Fine-tuning {QuickstartOptions.Model} on {Shown(examples.Training)}; {examples.Questions.Count} other questions test it.");
            await using ServerChild server = await ServerChild.StartAsync(folder, cancellationToken);
            try
            {
                QuickstartResult result = await WithServerAsync(server, folder, examples, config, cancellationToken);
                done = true;
                return result;
            }
            catch (CliException) when (server.Exited.IsCompleted)
            {
                throw new CliException($"The server ended in the middle. {server.LastErrors}");
            }
        }
        finally
        {
            if (!done && options.DataFolder is null)
                Directory.Delete(folder, recursive: true);
        }
    }

    private async Task<QuickstartResult> WithServerAsync(ServerChild server, string folder, Examples examples, byte[] config, CancellationToken cancellationToken)
    {
        using var client = new HoneClient(server.Connection);
        terminal.Line($"server    {client.Url.AbsoluteUri.TrimEnd('/')} with its data in {folder}");

        Finetune finetune = await CreateAsync(client, cancellationToken);
        terminal.Line($"created   {finetune.Name} ({finetune.Id})");

        await client.UploadAssetAsync(finetune.Id, "training_config.json", config, cancellationToken);
        foreach (var file in new AssetFile[] { new("validation_data.jsonl", examples.Validation), new("training_data.jsonl", examples.Training) })
        {
            if (await Uploads.SendAsync(client, finetune.Id, file, terminal, quiet: true, cancellationToken) != 0)
                throw new CliException("The example's data was refused.");
            terminal.Line($"uploaded  {file.Name} ({Sizes.Text(LinkedFile.Info(file.Path).Length)})");
        }

        long training = clock.GetTimestamp();
        await TrainingProgress.ShowAsync(terminal, client.WatchEventsAsync(finetune.Id, 0, cancellationToken), clock);
        finetune = await client.GetFinetuneAsync(finetune.Id, cancellationToken);
        if (finetune.Status != "ready")
            throw WatchCommand.Outcome(finetune);
        double trainSeconds = finetune.Metrics is { ValueKind: JsonValueKind.Object } metrics && metrics.TryGetProperty("train_seconds", out JsonElement measured)
            ? measured.GetDouble()
            : clock.GetElapsedTime(training).TotalSeconds;

        string adapter = Path.Combine(folder, finetune.Name == Name ? "adapter" : $"adapter-{finetune.Name}");
        await DownloadCommand.FetchAsync(client, finetune, [], adapter, cancellationToken);

        Evaluation before = await AskAsync(client, "asking the base model", null, examples.Questions, cancellationToken);
        Evaluation after = await AskAsync(client, "asking the adapter", finetune.Id, examples.Questions, cancellationToken);
        var result = new QuickstartResult(before.Score, after.Score, trainSeconds, clock.GetElapsedTime(_started).TotalSeconds, adapter);
        QuickstartView.Show(terminal, before, after, result);
        QuickstartView.ShowNext(terminal, client.Url, server.Connection, finetune.Name, folder, after.Questions, options.KeepServing);
        if (options.KeepServing)
            await Task.WhenAny(server.Exited, Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken));
        return result;
    }

    private static async Task<Finetune> CreateAsync(HoneClient client, CancellationToken cancellationToken)
    {
        // A kept folder may have earlier runs.
        HashSet<string> taken = [.. (await client.ListFinetunesAsync(cancellationToken)).Select(finetune => finetune.Name)];
        string name = Enumerable.Range(1, int.MaxValue).Select(n => n == 1 ? Name : $"{Name}-{n}").First(candidate => !taken.Contains(candidate));
        return await client.CreateFinetuneAsync(new CreateFinetune(QuickstartOptions.Model, name, "Customer messages to one line of JSON.", Public: false), cancellationToken);
    }

    private async Task<Evaluation> AskAsync(HoneClient client, string label, string? lora, IReadOnlyList<Question> questions, CancellationToken cancellationToken)
    {
        Evaluation? evaluation = null;
        await terminal.CountAsync(label, questions.Count, async answered =>
            evaluation = await Evaluation.AskAsync(client, QuickstartOptions.Model, lora, questions, answered, cancellationToken));
        return evaluation!;
    }

    private static string Shown(string path) => Path.GetRelativePath(".", path) is var relative && !relative.StartsWith("..", StringComparison.Ordinal) ? relative : path;

    /// <summary>The settings of --config, and the seed, so that the same command gives the same adapter.</summary>
    private byte[] Config()
    {
        JsonObject config = [];
        if (options.ConfigFile is { } file)
        {
            try
            {
                config = JsonNode.Parse(File.ReadAllBytes(file)) as JsonObject ?? throw new JsonException("it is not a JSON object.");
            }
            catch (JsonException broken)
            {
                throw new CliException($"{file} is not a training configuration: {broken.Message}", "it is a JSON object such as {\"n_epochs\": 3}.", broken);
            }
        }
        config["seed"] ??= options.Seed;
        return System.Text.Encoding.UTF8.GetBytes(config.ToJsonString());
    }
}
