using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Formats.Safetensors;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;

namespace Hone.Training.Checkpoints;

/// <summary>
/// Everything a run needs to go on as if nothing had happened: the adapter, the optimiser's moments, and how far it is. Randomness needs no state:
/// what is drawn follows from the seed and the step. One safetensors file, written whole or not at all.
/// </summary>
internal static class Checkpoint
{
    private const string Parameters = "parameters", FirstMoment = "first_moment", SecondMoment = "second_moment", LossesOfRows = "losses_of_rows", Reference = "reference_log_probabilities";

    /// <param name="fingerprint">Of the settings and the data: a checkpoint of another run is refused.</param>
    public static void Save(string path, LoraAdapter adapter, AdamW optimizer, TrainProgress progress, string fingerprint) =>
        SafetensorsWriter.Write(
            path,
            [
                Vector(Parameters, adapter.Parameters), Vector(FirstMoment, optimizer.FirstMoment), Vector(SecondMoment, optimizer.SecondMoment),
                .. progress.RowLosses is { } rows ? [new SafetensorsData(LossesOfRows, rows.Shape, rows.Values)] : Array.Empty<SafetensorsData>(),
                .. progress.Reference is { } reference ? [new SafetensorsData(Reference, reference.Shape, reference.Values)] : Array.Empty<SafetensorsData>(),
            ],
            new Dictionary<string, string>
            {
                ["fingerprint"] = fingerprint,
                ["progress"] = JsonSerializer.Serialize(progress, CheckpointJson.Default.TrainProgress),
            });

    /// <summary>Of the run that left it; null where there is no such file or it tells none.</summary>
    public static string? FingerprintOf(string path)
    {
        if (!File.Exists(path))
            return null;
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return file.Metadata.GetValueOrDefault("fingerprint");
    }

    /// <returns>Null where the checkpoint belongs to other settings or data.</returns>
    public static TrainProgress? TryLoad(string path, LoraAdapter adapter, AdamW optimizer, string fingerprint)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        if (file.Metadata.GetValueOrDefault("fingerprint") != fingerprint || file.Metadata.GetValueOrDefault("progress") is not { } progress)
            return null;
        file.ReadFloat32(Parameters, Matrix.Of(adapter.Parameters).All());
        file.ReadFloat32(FirstMoment, Matrix.Of(optimizer.FirstMoment).All());
        file.ReadFloat32(SecondMoment, Matrix.Of(optimizer.SecondMoment).All());
        TrainProgress found = JsonSerializer.Deserialize(progress, CheckpointJson.Default.TrainProgress)!;
        found.RowLosses = Read(LossesOfRows) is { } losses ? new RowLosses(losses) : null;
        found.Reference = Read(Reference) is { } known ? new ReferenceLogProbabilities(known) : null;
        return found;

        float[]? Read(string name)
        {
            if (file.Find(name) is not { } stored)
                return null;
            var values = new float[stored.Elements];
            file.ReadFloat32(name, values);
            return values;
        }
    }

    private static SafetensorsData Vector(string name, torch.Tensor tensor) => new(name, tensor.shape, new TensorMemory(tensor).Memory);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(TrainProgress))]
internal sealed partial class CheckpointJson : JsonSerializerContext;
