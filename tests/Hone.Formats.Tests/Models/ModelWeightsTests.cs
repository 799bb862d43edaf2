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
            var values = new float[tensor.Shape.Aggregate(1L, (a, b) => a * b)];
            model.ReadFloat32(tensor.Name, values);
            Assert.Equal(stored[tensor.Name], values);
        }
        Assert.Empty(model.FindNotFinite(TestContext.Current.CancellationToken));
        Assert.Contains(model.LinearModules, m => m.Name is "model.layers.0.self_attn.o_proj");
    }
}
