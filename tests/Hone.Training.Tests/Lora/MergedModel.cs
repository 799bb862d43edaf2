using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Training.Tests.Lora;

/// <summary>A tiny model with an adapter merged into it, loaded as any other model.</summary>
internal sealed class MergedModel : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hone-merged").FullName;

    /// <param name="config">The model's config where it is not the base's.</param>
    /// <param name="change">Sees the merged tensors, and may change them.</param>
    public MergedModel(string baseFolder, string adapterFolder, string? config = null, Action<Dictionary<string, SafetensorsData>>? change = null)
    {
        try
        {
            using (ModelWeights weights = ModelWeights.Open(baseFolder))
            using (AdapterExport merged = AdapterExport.OpenMerged(Path.Combine(adapterFolder, AdapterConfig.FileName), Path.Combine(adapterFolder, AdapterConfig.WeightsFileName), weights))
            using (FileStream stream = File.Create(Path.Combine(_folder, "model.safetensors")))
            {
                foreach (ReadOnlyMemory<byte> piece in merged.Pieces)
                    stream.Write(piece.Span);
            }
            if (change is not null)
                Change(change);
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

    private void Change(Action<Dictionary<string, SafetensorsData>> change)
    {
        string path = Path.Combine(_folder, "model.safetensors");
        Dictionary<string, SafetensorsData> tensors;
        using (SafetensorsFile file = SafetensorsFile.Open(path))
            tensors = file.Tensors.ToDictionary(t => t.Name, t => new SafetensorsData(t.Name, t.Shape, Reference.Read(file, t.Name)));
        change(tensors);
        SafetensorsWriter.Write(path, tensors.Select(t => t.Value with { Name = t.Key }));
    }

    public void Dispose()
    {
        Model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
