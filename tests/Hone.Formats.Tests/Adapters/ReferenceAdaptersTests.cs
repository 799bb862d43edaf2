using System.Text.Json;
using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Tests.Adapters;

/// <summary>Adapters that PEFT itself has written.</summary>
[Trait("Category", "Reference")]
public sealed class ReferenceAdaptersTests
{
    public static TheoryData<string> Adapters =>
        [.. References.Folders("models").SelectMany(f => Directory.GetDirectories(f).Order(StringComparer.Ordinal)).Select(f => Path.Combine(f, "adapter")).Where(Directory.Exists)];

    [Theory]
    [MemberData(nameof(Adapters))]
    public void Check_AdapterOfPeft_Passes(string folder)
    {
        string configPath = Path.Combine(folder, AdapterConfig.FileName);
        string weightsPath = Path.Combine(folder, AdapterConfig.WeightsFileName);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(configPath));
        AdapterConfigResult parsed = AdapterConfig.Parse(File.ReadAllBytes(configPath));
        Assert.Empty(parsed.Errors);
        Assert.Empty(parsed.Warnings);
        Assert.Equal((json.RootElement.GetProperty("r").GetInt32(), json.RootElement.GetProperty("use_dora").GetBoolean()), (parsed.Config!.Rank, parsed.Config.UseDora));
        Assert.Empty(AdapterConfig.Parse(parsed.Config.Write()).Errors);

        // Modules of PEFT's tensors are those that the config targets.
        using SafetensorsFile weights = SafetensorsFile.Open(weightsPath);
        Assert.NotEmpty(weights.Tensors);
        Assert.All(weights.Tensors, t => Assert.True(PeftNames.Parse(t.Name) is var (module, tensor) && parsed.Config.Targets(module) && (tensor == AdapterTensor.Magnitude ? parsed.Config.UseDora : parsed.Config.RankOf(module) == t.Shape[tensor == AdapterTensor.A ? 0 : 1]), t.Name));
        using ModelWeights model = ModelWeights.Open(Path.GetDirectoryName(folder)!);
        AdapterReport report = AdapterCheck.Check(configPath, weightsPath, AdapterPlaces.Of(model.Config), new AdapterLimits(), null, TestContext.Current.CancellationToken);
        Assert.Empty(report.Errors);
        Assert.Empty(report.Warnings);
    }

    [Theory]
    [MemberData(nameof(Adapters))]
    public void Write_TensorsOfPeft_RoundTripsByteStable(string folder)
    {
        using var temporary = new TemporaryFolder();
        using SafetensorsFile source = SafetensorsFile.Open(Path.Combine(folder, AdapterConfig.WeightsFileName));
        List<SafetensorsData> tensors = Read(source);
        SafetensorsWriter.Write(temporary.File("first"), tensors, source.Metadata);
        using SafetensorsFile first = SafetensorsFile.Open(temporary.File("first"));
        Assert.Equal(source.Metadata, first.Metadata);
        Assert.Equal(source.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), first.Tensors.Select(t => t.Name));
        foreach (SafetensorsTensor tensor in source.Tensors.Where(t => t.Type == SafetensorsType.F32))
            Assert.True(source.ReadBytes(tensor.Name).SequenceEqual(first.ReadBytes(tensor.Name)), tensor.Name);
        SafetensorsWriter.Write(temporary.File("second"), Enumerable.Reverse(Read(first)), first.Metadata);
        Assert.Equal(File.ReadAllBytes(temporary.File("first")), File.ReadAllBytes(temporary.File("second")));
    }

    private static List<SafetensorsData> Read(SafetensorsFile file) =>
    [
        .. file.Tensors.Select(t =>
        {
            var values = new float[t.Elements];
            file.ReadFloat32(t.Name, values);
            return new SafetensorsData(t.Name, t.Shape, values);
        }),
    ];
}
