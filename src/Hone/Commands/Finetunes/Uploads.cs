using System.Text.Json;
using Hone.Client;
using Hone.Formats.Files;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

/// <param name="Name">The name the API knows it by.</param>
internal sealed record AssetFile(string Name, string Path);

internal static class Uploads
{
    /// <summary>In the order in which they have to arrive: the training data starts the job, so it comes last.</summary>
    public static readonly string[] Names =
        ["training_config.json", "validation_data.jsonl", "training_data.jsonl", "adapter_config.json", "adapter_model.safetensors"];

    /// <returns>0, or 1 when the server refused the file; its reasons are printed.</returns>
    public static async Task<int> SendAsync(HoneClient client, string finetune, AssetFile file, Terminal terminal, bool quiet, CancellationToken cancellationToken)
    {
        try
        {
            JsonElement stored = await client.UploadAssetAsync(finetune, file.Name, file.Path, cancellationToken);
            if (stored.TryGetProperty("warnings", out JsonElement warnings) && warnings.ValueKind == JsonValueKind.Array)
            {
                foreach (JsonElement warning in warnings.EnumerateArray())
                    terminal.Note($"warning: {file.Path}: {warning}");
            }
        }
        catch (ApiException refused) when (refused.Result is { ValueKind: JsonValueKind.Object } result && result.TryGetProperty("lint", out JsonElement report))
        {
            LintView.Print(terminal, file.Path, null, null, report, terminal.Error);
            terminal.Note($"error: {file.Path} was refused as {file.Name}; nothing of it is kept.");
            return Cli.Failure;
        }
        if (!quiet)
            terminal.Line($"uploaded {file.Name} ({Sizes.Text(LinkedFile.Info(file.Path).Length)})");
        return 0;
    }
}
