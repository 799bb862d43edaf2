using System.Runtime.InteropServices;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;
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

    private const int MaxTokens = 256;

    public static void Write(string folder, Decoder decoder, LoraAdapter adapter, IReadOnlyList<EncodedRow> rows)
    {
        var tensors = new List<SafetensorsData>();
        foreach ((EncodedRow row, int r) in rows.Take(MaxRows).Select((row, r) => (row, r)))
        {
            // A token's number is exact in float32 up to 2²⁴.
            int[] tokens = row.Tokens[..Math.Min(row.Tokens.Length, MaxTokens)];
            tensors.Add(new SafetensorsData($"row.{r}.tokens", [tokens.Length], tokens.Select(t => (float)t).ToArray()));
            float[] logits = Logits(decoder, adapter, tokens);
            tensors.Add(new SafetensorsData($"row.{r}.logits", [logits.Length], logits));
        }
        SafetensorsWriter.Write(Path.Combine(folder, FileName), tensors);
    }

    /// <summary>The largest relative difference of this adapter's logits from the trainer's, and the smallest from the base's.</summary>
    public static (double FromTrainer, double FromBase, int Rows) Compare(string folder, Decoder decoder, LoraAdapter adapter)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, FileName));
        double fromTrainer = 0, fromBase = 0;
        int rows = 0;
        for (; file.Find($"row.{rows}.tokens") is { } stored; rows++)
        {
            var tokens = new float[stored.Elements];
            file.ReadFloat32(stored.Name, tokens);
            int[] ids = [.. tokens.Select(t => (int)t)];
            float[] mine = Logits(decoder, adapter, ids);
            var trainers = new float[mine.Length];
            file.ReadFloat32($"row.{rows}.logits", trainers);
            fromTrainer = Math.Max(fromTrainer, Difference(mine, trainers));
            fromBase = Math.Max(fromBase, Difference(mine, Logits(decoder, null, ids)));
        }
        return (fromTrainer, fromBase, rows);
    }

    /// <summary>[V] after the row's last token.</summary>
    private static float[] Logits(Decoder decoder, LoraAdapter? adapter, int[] tokens)
    {
        using var scope = NewDisposeScope();
        var batch = PackedBatch.Pack([new EncodedRow(0, tokens, new bool[tokens.Length])]);
        Tensor logits = decoder.Logits(decoder.Forward(batch, adapter).narrow(0, tokens.Length - 1, 1));
        return MemoryMarshal.Cast<byte, float>(logits.bytes).ToArray();
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
