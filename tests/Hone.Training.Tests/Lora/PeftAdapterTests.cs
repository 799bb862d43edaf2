using Hone.Formats.Adapters;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Lora;

/// <summary>Adapters that PEFT has saved, read from their files: on the base, and merged into it.</summary>
[Trait("Category", "Reference")]
public sealed class PeftAdapterTests
{
    public static TheoryData<string> Adapters =>
        [.. Reference.Folders("models").SelectMany(Directory.GetDirectories).Where(f => File.Exists(Path.Combine(f, "adapter", AdapterConfig.WeightsFileName))).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Adapters))]
    public void Load_AdapterOfPeft_GivesTheTrainedLogits(string folder)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors"));
        using var model = new TinyModel(folder);
        using LoraAdapter adapter = PeftAdapter.Load(Path.Combine(folder, "adapter"), model.Decoder);
        EncodedRow[] rows = Reference.Rows(file, "");
        float[][] actual = Logits(model.Decoder, adapter, rows);
        float[] expected = Reference.Read(file, "trained.logits");
        double noise = Reference.Read(file, "noise.trained.logits")[0];
        int padded = expected.Length / rows.Length;
        for (int r = 0; r < rows.Length; r++)
            Reference.AssertClose(expected.AsSpan(r * padded, actual[r].Length), actual[r], noise, $"{Path.GetFileName(folder)} row {r}", k: 24);
    }

    [Theory]
    [MemberData(nameof(Adapters))]
    public void OpenMerged_AdapterOfPeft_IsBaseAndAdapter(string folder)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors"));
        EncodedRow[] rows = Reference.Rows(file, "");
        float[][] expected, bases;
        using (var model = new TinyModel(folder))
        using (LoraAdapter adapter = PeftAdapter.Load(Path.Combine(folder, "adapter"), model.Decoder))
            (expected, bases) = (Logits(model.Decoder, adapter, rows), Logits(model.Decoder, null, rows));
        using var merged = new MergedModel(folder, Path.Combine(folder, "adapter"));
        float[][] actual = Logits(merged.Model.Decoder, null, rows);
        for (int r = 0; r < rows.Length; r++)
        {
            float largest = expected[r].Max(Math.Abs);
            Assert.InRange(Difference(expected[r], actual[r]) / largest, 0, 1e-4);
            Assert.True(Difference(expected[r], bases[r]) / largest > 1e-3, "The adapter changes nothing: the test shows nothing.");
        }
    }

    private static double Difference(float[] one, float[] other) => one.Zip(other, (a, b) => Math.Abs((double)a - b)).Max();

    /// <summary>[T · V] of each row.</summary>
    private static float[][] Logits(Decoder decoder, LoraAdapter? adapter, EncodedRow[] rows)
    {
        using var scope = NewDisposeScope();
        PackedBatch packed = PackedBatch.Pack(rows);
        Tensor logits = decoder.Logits(decoder.Forward(packed, adapter), adapter is null ? [] : [new AdapterRows(adapter, 0, packed.Tokens.Length)]);
        int width = (int)logits.shape[1];
        return [.. packed.RowTokens.Select(tokens => tokens.SelectMany(t => Reference.Floats(logits).Slice(t * width, width).ToArray()).ToArray())];
    }
}
