using System.Text.Json;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Models;

/// <summary>The weights of a Hugging Face folder: <c>model.safetensors</c>, or shards with <c>model.safetensors.index.json</c>.</summary>
internal static class HuggingFaceFolder
{
    public const string WeightsFile = "model.safetensors";
    public const string IndexFile = "model.safetensors.index.json";

    /// <summary>The folder of a model's further chat templates.</summary>
    public const string OtherTemplates = "additional_chat_templates";

    private const int MaxIndexBytes = 64 << 20;
    private const int MaxShards = 1_000;

    /// <summary>What the model is made of: the files whose content decides what it computes, those that are there, in this order.</summary>
    private static readonly string[] s_files =
    [
        HuggingFaceConfig.FileName, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json", WeightsFile, IndexFile,
    ];

    public static IReadOnlyList<string> Files(string folder)
    {
        var files = s_files.Select(name => Path.Combine(folder, name)).Where(File.Exists).ToList();
        if (!File.Exists(Path.Combine(folder, WeightsFile)) && File.Exists(Path.Combine(folder, IndexFile)))
            files.AddRange(Shards(folder).Keys.Select(shard => Path.Combine(folder, shard)));
        string more = Path.Combine(folder, OtherTemplates);
        if (Directory.Exists(more))
            files.AddRange(Directory.EnumerateFiles(more, "*.jinja").Order(StringComparer.Ordinal));
        return files;
    }

    public static SafetensorsSource Open(string folder)
    {
        string single = Path.Combine(folder, WeightsFile), index = Path.Combine(folder, IndexFile);
        if (File.Exists(single))
            return new SafetensorsSource([SafetensorsFile.Open(single)]);
        if (!File.Exists(index))
        {
            bool pickled = Directory.EnumerateFiles(folder, "pytorch_model*.bin").Any();
            throw new InvalidFileException($"{folder}: there is neither {WeightsFile} nor {IndexFile}. {(pickled ? "Save the model as safetensors: pytorch_model.bin may run code when it is read, and is not opened." : "Get the model's weights as safetensors.")}");
        }
        var opened = new List<SafetensorsFile>();
        try
        {
            foreach ((string shard, HashSet<string> tensors) in Shards(folder))
            {
                string path = Path.Combine(folder, shard);
                if (!File.Exists(path))
                    throw new InvalidFileException($"{index}: it names the file '{shard}', which is not there. Get the missing file.");
                SafetensorsFile file = SafetensorsFile.Open(path);
                opened.Add(file);
                if (tensors.FirstOrDefault(t => file.Find(t) is null) is { } missing)
                    throw new InvalidFileException($"{index}: the tensor '{missing}' shall lie in '{shard}', which does not have it. Get the files anew.");
                if (file.Tensors.FirstOrDefault(t => !tensors.Contains(t.Name)) is { } stranger)
                    throw new InvalidFileException($"{index}: the tensor '{stranger.Name}' of '{shard}' is not listed for that file. Get the files anew.");
            }
            return new SafetensorsSource(opened);
        }
        catch
        {
            opened.ForEach(file => file.Dispose());
            throw;
        }
    }

    /// <summary>The tensors of each shard by its name, which is that of a file in the folder itself.</summary>
    private static SortedDictionary<string, HashSet<string>> Shards(string folder)
    {
        string index = Path.Combine(folder, IndexFile);
        using JsonDocument document = ModelJsonFile.Parse(index, MaxIndexBytes);
        if (!document.RootElement.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object || map.GetPropertyCount() == 0)
            throw new InvalidFileException($"{index}: $.weight_map is missing, empty or no object. Get the file anew.");
        var shards = new SortedDictionary<string, HashSet<string>>(StringComparer.Ordinal);
        foreach (JsonProperty entry in map.EnumerateObject())
        {
            string? shard = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString() : null;
            if (shard is null || shard.Length == 0 || shard != Path.GetFileName(shard) || !shard.EndsWith(".safetensors", StringComparison.Ordinal))
                throw new InvalidFileException($"{index}: $.weight_map['{entry.Name}'] is no name of a safetensors file in the same folder. Get the file anew.");
            if (!shards.TryGetValue(shard, out HashSet<string>? tensors))
                shards[shard] = tensors = new HashSet<string>(StringComparer.Ordinal);
            tensors.Add(entry.Name);
            if (shards.Count > MaxShards)
                throw new InvalidFileException($"{index}: it names more than {MaxShards} files. Save the model in fewer.");
        }
        return shards;
    }
}
