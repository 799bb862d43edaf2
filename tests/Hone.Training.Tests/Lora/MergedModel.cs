using Hone.Formats.Adapters;
using Hone.Formats.Models;

namespace Hone.Training.Tests.Lora;

/// <summary>A tiny model with an adapter merged into it, loaded as any other model.</summary>
internal sealed class MergedModel : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hone-merged").FullName;

    /// <param name="config">The model's config where it is not the base's.</param>
    public MergedModel(string baseFolder, string adapterFolder, string? config = null)
    {
        try
        {
            using (ModelWeights weights = ModelWeights.Open(baseFolder))
            using (FileStream stream = File.Create(Path.Combine(_folder, "model.safetensors")))
                AdapterExport.WriteMerged(stream, Path.Combine(adapterFolder, AdapterConfig.FileName), Path.Combine(adapterFolder, AdapterConfig.WeightsFileName), weights);
            File.WriteAllText(Path.Combine(_folder, "config.json"), config ?? File.ReadAllText(Path.Combine(baseFolder, "config.json")));
            Model = new TinyModel(_folder);
        }
        catch
        {
            Directory.Delete(_folder, recursive: true);
            throw;
        }
    }

    public TinyModel Model { get; }

    public void Dispose()
    {
        Model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
