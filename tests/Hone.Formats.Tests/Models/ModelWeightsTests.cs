using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Tests.Models;

public sealed class ModelWeightsTests
{
    public static TheoryData<string> Models =>
        [.. References.Folders("models").SelectMany(f => Directory.GetDirectories(f).Order(StringComparer.Ordinal)).Where(f => File.Exists(Path.Combine(f, "config.json")))];

    [Theory]
    [MemberData(nameof(Models))]
    [Trait("Category", "Reference")]
    public void Open_ModelOfTransformers_HasExactlyItsTensors(string folder)
    {
        using ModelWeights model = ModelWeights.Open(folder);
        var stored = new Dictionary<string, float[]>();
        foreach (string path in Directory.EnumerateFiles(folder, "model*.safetensors"))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            foreach (SafetensorsTensor tensor in file.Tensors)
            {
                stored[tensor.Name] = new float[tensor.Elements];
                file.ReadFloat32(tensor.Name, stored[tensor.Name]);
            }
        }
        Assert.Equal(stored.Keys.Order(StringComparer.Ordinal), model.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
        foreach (NamedShape tensor in model.Tensors)
        {
            Assert.Equal(stored[tensor.Name], Values(model, tensor));
            Assert.Equal(stored[tensor.Name], InParts(model, tensor));
        }
        Assert.Empty(model.FindNotFinite(TestContext.Current.CancellationToken));
        Assert.Contains(model.LinearModules, m => m.Name is "model.layers.0.self_attn.o_proj");
    }

    [Fact]
    public void Open_TensorsThatDoNotFit_AreNamed()
    {
        using var folder = new TemporaryFolder();
        string source = Path.Combine(References.Own("models"), "qwen2");
        File.Copy(Path.Combine(source, "config.json"), folder.File("config.json"));
        List<SafetensorsData> tensors = [];
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "model.safetensors")))
        {
            foreach (SafetensorsTensor tensor in file.Tensors)
            {
                var values = new float[tensor.Elements];
                file.ReadFloat32(tensor.Name, values);
                tensors.Add(new SafetensorsData(tensor.Name, tensor.Shape, values));
            }
        }
        AssertOpens(tensors);
        AssertRefused(tensors.Where(t => t.Name != "model.layers.1.self_attn.k_proj.bias"), "'model.layers.1.self_attn.k_proj.bias' is missing");
        AssertRefused(tensors.Append(new("model.layers.0.self_attn.o_proj.bias", [48], new float[48])), "'model.layers.0.self_attn.o_proj.bias' has no place in a qwen2 model");
        AssertRefused(tensors.Select(t => t.Name == "model.norm.weight" ? t with { Shape = [2, 24] } : t), "'model.norm.weight' has the shape [2, 24] where the config demands [48]");

        float[] broken = tensors[0].Values.ToArray();
        broken[17] = float.NaN;
        Write(tensors.Select((t, i) => i == 0 ? t with { Values = broken } : t));
        using (ModelWeights model = ModelWeights.Open(folder.Path))
            Assert.Contains($"the tensor '{tensors[0].Name}' holds NaN at index 17", Assert.Single(model.FindNotFinite(TestContext.Current.CancellationToken)), StringComparison.Ordinal);

        void Write(IEnumerable<SafetensorsData> content) => SafetensorsWriter.Write(folder.File("model.safetensors"), content);

        void AssertOpens(IEnumerable<SafetensorsData> content)
        {
            Write(content);
            using ModelWeights model = ModelWeights.Open(folder.Path);
            Assert.Empty(model.FindNotFinite(TestContext.Current.CancellationToken));
        }

        void AssertRefused(IEnumerable<SafetensorsData> content, string message)
        {
            Write(content);
            Assert.Contains(message, Assert.Throws<InvalidFileException>(() => ModelWeights.Open(folder.Path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Open_TiedHeadInTheFile_MustBeTheEmbedding()
    {
        using var folder = new TemporaryFolder();
        string source = Path.Combine(References.Own("models"), "qwen3");
        File.Copy(Path.Combine(source, "config.json"), folder.File("config.json"));
        float[] head = [];
        var tensors = new List<SafetensorsData>();
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "model.safetensors")))
        {
            foreach (SafetensorsTensor tensor in file.Tensors)
            {
                var values = new float[tensor.Elements];
                file.ReadFloat32(tensor.Name, values);
                tensors.Add(new SafetensorsData(tensor.Name, tensor.Shape, values));
                if (tensor.Name == "model.embed_tokens.weight")
                    head = [.. values];
            }
        }
        tensors.Add(new SafetensorsData("lm_head.weight", [160, 48], head));
        SafetensorsWriter.Write(folder.File("model.safetensors"), tensors);
        ModelWeights.Open(folder.Path).Dispose();
        head[^1] += 1;
        SafetensorsWriter.Write(folder.File("model.safetensors"), tensors);
        Assert.Contains("'lm_head.weight' has no place", Assert.Throws<InvalidFileException>(() => ModelWeights.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_Shards_MustBeThoseOfTheIndex()
    {
        using var folder = new TemporaryFolder();
        foreach (string path in Directory.EnumerateFiles(Path.Combine(References.Own("models"), "mistral"), "*.*").Where(p => Path.GetFileName(p) != "reference.safetensors"))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        ModelWeights.Open(folder.Path).Dispose();
        string index = folder.File("model.safetensors.index.json"), text = File.ReadAllText(index);

        File.WriteAllText(index, text.Replace("\"model.norm.weight\": \"model-00004", "\"model.norm.weight\": \"model-00001", StringComparison.Ordinal));
        AssertRefused("the tensor 'model.norm.weight' shall lie in 'model-00001-of-00004.safetensors'");
        File.WriteAllText(index, text.Replace("\"model-00004-of-00004.safetensors", "\"../model-00004-of-00004.safetensors", StringComparison.Ordinal));
        AssertRefused("is no name of a safetensors file in the same folder");
        File.WriteAllText(index, text);
        File.Delete(folder.File("model-00003-of-00004.safetensors"));
        AssertRefused("names the file 'model-00003-of-00004.safetensors', which is not there");

        void AssertRefused(string message) => Assert.Contains(message, Assert.Throws<InvalidFileException>(() => ModelWeights.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    internal static float[] Values(ModelWeights model, NamedShape tensor)
    {
        var values = new float[tensor.Shape.Aggregate(1L, (a, b) => a * b)];
        model.ReadFloat32(tensor.Name, 0, values);
        return values;
    }

    /// <summary>A tensor's values, three rows of a matrix at a time.</summary>
    internal static float[] InParts(ModelWeights model, NamedShape tensor)
    {
        long elements = tensor.Shape.Aggregate(1L, (a, b) => a * b), part = tensor.Shape.Length == 1 ? elements : 3 * tensor.Shape[1];
        var values = new float[elements];
        for (long start = 0; start < elements; start += part)
            model.ReadFloat32(tensor.Name, start, values.AsSpan((int)start, (int)Math.Min(part, elements - start)));
        return values;
    }
}
