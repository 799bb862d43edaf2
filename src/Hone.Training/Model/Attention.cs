using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Training.Kernels;
using Hone.Training.Training;
using TorchSharp;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Hone.Training.Model;

/// <param name="Heads">H</param>
/// <param name="KeyValueHeads">K; H / K query heads share a key-value head.</param>
/// <param name="HeadDim">d</param>
/// <param name="Scale">Multiplies the scores.</param>
/// <param name="Softcap">c, where scores become c · tanh(score / c).</param>
internal sealed record AttentionShape(int Heads, int KeyValueHeads, int HeadDim, double Scale, double? Softcap = null)
{
    /// <summary>By layer: how many tokens, itself among them, a token sees; null: all.</summary>
    public IReadOnlyList<int?> Windows { get; init; } = [];

    public int WindowOf(int layer) => Windows.Count == 0 ? int.MaxValue : Windows[layer] ?? int.MaxValue;

    /// <summary>H / K</summary>
    public int Group => Heads / KeyValueHeads;

    public int QueryWidth => Heads * HeadDim;

    /// <summary>(H + 2K)·d: a row of queries, keys and values.</summary>
    public int Width => (Heads + 2 * KeyValueHeads) * HeadDim;

    /// <summary>First column of a head's keys.</summary>
    public int KeyColumn(int keyValueHead) => (Heads + keyValueHead) * HeadDim;

    /// <summary>First column of a head's values.</summary>
    public int ValueColumn(int keyValueHead) => (Heads + KeyValueHeads + keyValueHead) * HeadDim;
}

/// <summary>Whom each token of a batch attends to, and with whose keys and values: the one part of a decoder pass in which tokens meet.</summary>
internal abstract unsafe class Attention
{
    /// <param name="qkv">[N, (H + 2K)·d]: a token's queries, keys and values, turned already.</param>
    /// <param name="saved">Receives what a backward pass needs; null while evaluating.</param>
    /// <returns>[N, H·d]</returns>
    public abstract torch.Tensor Forward(int layer, torch.Tensor qkv, SavedAttention? saved);

    /// <summary>softmax of each row, in place; row i sees the last <paramref name="window"/> of the first <c>columns − rows + 1 + i</c> keys and gives the others 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected static void CausalSoftmax(Matrix scores, int window)
    {
        for (int row = 0; row < scores.Rows; row++)
        {
            float* x = scores.Data + row * scores.Stride;
            int seen = scores.Columns - scores.Rows + 1 + row, first = Math.Max(0, seen - window);
            new Span<float>(x, first).Clear();
            Softmax(x + first, seen - first);
            new Span<float>(x + seen, scores.Columns - seen).Clear();
        }
    }

    /// <summary>x becomes c · tanh(x / c).</summary>
    public static void Cap(Span<float> x, double cap)
    {
        TensorPrimitives.Multiply(x, (float)(1 / cap), x);
        TensorPrimitives.Tanh(x, x);
        TensorPrimitives.Multiply(x, (float)cap, x);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected static void Softmax(float* x, int length)
    {
        float max = float.NegativeInfinity;
        int i = 0;
        if (length >= 8)
        {
            Vector256<float> highest = Vector256.Load(x);
            for (i = 8; i + 8 <= length; i += 8)
                highest = Vector256.Max(highest, Vector256.Load(x + i));
            for (int lane = 0; lane < 8; lane++)
                max = MathF.Max(max, highest[lane]);
        }
        for (; i < length; i++)
            max = MathF.Max(max, x[i]);

        Vector256<float> offset = Vector256.Create(max), sums = default;
        i = 0;
        for (; Vector512.IsHardwareAccelerated && i + 16 <= length; i += 16)
        {
            Vector512<float> e = Exponential.Of(Vector512.Load(x + i) - Vector512.Create(max));
            e.Store(x + i);
            sums = sums + e.GetLower() + e.GetUpper();
        }
        for (; i + 8 <= length; i += 8)
        {
            Vector256<float> e = Exponential.Of(Vector256.Load(x + i) - offset);
            e.Store(x + i);
            sums += e;
        }
        float sum = Vector256.Sum(sums);
        for (; i < length; i++)
            sum += x[i] = MathF.Exp(x[i] - max);
        float inverse = 1 / sum;
        Vector256<float> factor = Vector256.Create(inverse);
        for (i = 0; i + 8 <= length; i += 8)
            (Vector256.Load(x + i) * factor).Store(x + i);
        for (; i < length; i++)
            x[i] *= inverse;
    }
}
