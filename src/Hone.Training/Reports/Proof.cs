using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Reports;

/// <summary>
/// What shows that an adapter works: a fresh process loads it from its files and must get the trainer's logits, and other logits than the base's.
/// The trainer leaves the rows and its logits in <c>proof.safetensors</c>.
/// </summary>
internal static class Proof
{
    public const string FileName = "proof.safetensors";
    public const int MaxRows = 8;

    /// <summary>Relative to the largest logit of a row.</summary>
    public const double Tolerance = 1e-4;

    private const int MaxTokens = 256; // of a row: the proof takes seconds, whatever the rows

    public static void Write(string folder, Decoder decoder, LoraAdapter adapter, IReadOnlyList<EncodedRow> rows)
    {
        int[][] tokens = [.. rows.Take(MaxRows).Select(r => r.Tokens[..Math.Min(r.Tokens.Length, MaxTokens)])];
        float[][] logits = Logits(decoder, adapter, tokens);
        // A token's number is exact in float32 up to 2²⁴.
        SafetensorsWriter.Write(Path.Combine(folder, FileName), tokens.SelectMany((row, r) => new[]
        {
            new SafetensorsData($"row.{r}.tokens", [row.Length], row.Select(t => (float)t).ToArray()),
            new SafetensorsData($"row.{r}.logits", [logits[r].Length], logits[r]),
        }));
    }

    /// <summary>The largest relative difference of this adapter's logits from the trainer's, and from the base's.</summary>
    public static (double FromTrainer, double FromBase, int Rows) Compare(string folder, Decoder decoder, LoraAdapter adapter)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, FileName));
        var tokens = new List<int[]>();
        var trainers = new List<float[]>();
        while (file.Find($"row.{tokens.Count}.tokens") is { } stored)
        {
            trainers.Add(Read(file, $"row.{tokens.Count}.logits"));
            tokens.Add([.. Read(file, stored.Name).Select(t => (int)t)]);
        }
        float[][] mine = Logits(decoder, adapter, tokens), bases = Logits(decoder, null, tokens);
        return (Enumerable.Range(0, mine.Length).Max(r => Difference(mine[r], trainers[r])), Enumerable.Range(0, mine.Length).Max(r => Difference(mine[r], bases[r])), mine.Length);
    }

    private static float[] Read(SafetensorsFile file, string name)
    {
        var values = new float[file.Find(name)!.Elements];
        file.ReadFloat32(name, values);
        return values;
    }

    /// <summary>[V] after each row's last token; the rows make one batch.</summary>
    private static float[][] Logits(Decoder decoder, LoraAdapter? adapter, IReadOnlyList<int[]> rows)
    {
        using var scope = NewDisposeScope();
        PackedBatch batch = PackedBatch.Pack([.. rows.Select(r => new EncodedRow(0, r, new bool[r.Length]))]);
        Tensor last = tensor([.. batch.RowTokens.Select(r => (long)r[^1])]);
        Tensor logits = decoder.Logits(decoder.Forward(batch, adapter).index_select(0, last), adapter is null ? [] : [new AdapterRows(adapter, 0, rows.Count)]); // [R, V]
        Matrix of = Matrix.Of(logits);
        return [.. Enumerable.Range(0, rows.Count).Select(r => of.Row(r).ToArray())];
    }

    private static double Difference(float[] a, float[] b)
    {
        double largest = 0, difference = 0;
        for (int i = 0; i < a.Length; i++)
        {
            largest = Math.Max(largest, Math.Abs(b[i]));
            // A NaN on either side must not pass for equality.
            double d = Math.Abs((double)a[i] - b[i]);
            difference = double.IsNaN(d) ? double.PositiveInfinity : Math.Max(difference, d);
        }
        return difference / Math.Max(largest, 1e-12);
    }
}
