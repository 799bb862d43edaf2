using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Hone.Training.Model;

/// <summary>
/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864) in the halves layout of Hugging Face's models: of the dimensions that turn, element i turns with
/// the one half of them further by the angle <c>position · frequency[i]</c>.
/// </summary>
internal sealed class Rope(ModelConfig config)
{
    // Where the frequencies follow from the length of the text they are computed for each batch.
    private readonly Dictionary<RopeConfig, float[]> _frequencies = Enumerable.Range(0, config.Layers).Select(config.RopeOf).OfType<RopeConfig>().Distinct().Where(r => !r.DependsOnLength)
        .ToDictionary(r => r, r => r.Frequencies(config.RotaryDim, config.ContextLength, 1));

    private readonly RopeConfig?[] _layers = [.. Enumerable.Range(0, config.Layers).Select(config.RopeOf)];

    /// <summary>What each layer needs to know of the tokens' positions; layers that turn alike share it.</summary>
    public LayerPositions[] Positions(ReadOnlySpan<int> positions)
    {
        float[]? growth = config.QueryGrowth is { } grown ? Growth(grown, positions) : null;
        var shared = new Dictionary<RopeConfig, LayerPositions>();
        var unturned = new LayerPositions(null, growth);
        var result = new LayerPositions[_layers.Length];
        for (int l = 0; l < result.Length; l++)
        {
            if (_layers[l] is not { } rope)
                result[l] = unturned;
            else if (!shared.TryGetValue(rope, out result[l]!))
                shared[rope] = result[l] = new LayerPositions(Angles(rope, positions), growth);
        }
        return result;
    }

    /// <summary>Cosine and sine of each token's angles, [N, half of what turns] each. Rounded to float32 where Hugging Face's code rounds: the models were trained so.</summary>
    private RopeAngles Angles(RopeConfig rope, ReadOnlySpan<int> positions)
    {
        int length = 0;
        foreach (int position in positions)
            length = Math.Max(length, position + 1);
        float[] frequencies = _frequencies.GetValueOrDefault(rope) ?? rope.Frequencies(config.RotaryDim, config.ContextLength, length);
        int half = frequencies.Length;
        float magnitude = (float)rope.Magnitude;
        var cos = new float[positions.Length * half];
        var sin = new float[positions.Length * half];
        for (int n = 0; n < positions.Length; n++)
        {
            for (int i = 0; i < half; i++)
            {
                float angle = positions[n] * frequencies[i];
                (double s, double c) = Math.SinCos(angle);
                cos[n * half + i] = (float)c * magnitude;
                sin[n * half + i] = (float)s * magnitude;
            }
        }
        return new RopeAngles(tensor(cos, [positions.Length, half]), tensor(sin, [positions.Length, half]));
    }

    private static float[] Growth(QueryGrowth growth, ReadOnlySpan<int> positions)
    {
        var factors = new float[positions.Length];
        for (int n = 0; n < factors.Length; n++)
            factors[n] = 1 + (float)growth.Beta * MathF.Log(1 + positions[n] / growth.Context);
        return factors;
    }
}

/// <param name="Angles">Null: the layer's queries and keys do not turn.</param>
/// <param name="QueryGrowth">What multiplies each token's queries; null: nothing.</param>
internal sealed record LayerPositions(RopeAngles? Angles, float[]? QueryGrowth)
{
    /// <summary>Turns queries and keys, in place.</summary>
    /// <param name="qkv">[N, (H + 2K)·d]</param>
    /// <param name="heads">Those of queries and keys.</param>
    public void Turn(Tensor qkv, int heads, AttentionShape shape)
    {
        using Profile.Measure measured = Profile.Of(Operation.Rotary);
        Angles?.Rotate(qkv, heads, shape.HeadDim);
        Grow(qkv, shape);
    }

    /// <summary>The gradient before <see cref="Turn"/> from that behind it, in place.</summary>
    public void TurnBack(Tensor dQkv, int heads, AttentionShape shape)
    {
        using Profile.Measure measured = Profile.Of(Operation.Rotary);
        Grow(dQkv, shape);
        Angles?.RotateBack(dQkv, heads, shape.HeadDim);
    }

    private void Grow(Tensor qkv, AttentionShape shape)
    {
        if (QueryGrowth is null)
            return;
        Matrix queries = Matrix.Of(qkv).ColumnRange(0, shape.QueryWidth);
        for (int n = 0; n < QueryGrowth.Length; n++)
            TensorPrimitives.Multiply(queries.Row(n), QueryGrowth[n], queries.Row(n));
    }
}

internal sealed unsafe record RopeAngles(Tensor Cos, Tensor Sin) : IDisposable
{
    private const int SmallestRange = 16;

    /// <summary>Turns the first <paramref name="heads"/> heads of every row, in place.</summary>
    /// <param name="x">[N, at least heads·d]</param>
    public void Rotate(Tensor x, int heads, int headDim) => Turn(x, heads, headDim, 1);

    /// <summary>The transposed rotation: the gradient of the input from that of the output.</summary>
    public void RotateBack(Tensor dy, int heads, int headDim) => Turn(dy, heads, headDim, -1);

    private void Turn(Tensor x, int heads, int headDim, float sign)
    {
        Matrix rows = Matrix.Of(x), cos = Matrix.Of(Cos), sin = Matrix.Of(Sin);
        Cores.ForRanges(rows.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
            {
                for (int h = 0; h < heads; h++)
                    Turn(rows.Data + n * rows.Stride + h * headDim, cos.Data + n * cos.Stride, sin.Data + n * sin.Stride, cos.Columns, sign);
            }
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Turn(float* x, float* cos, float* sin, int half, float sign)
    {
        Vector256<float> signs = Vector256.Create(sign);
        int i = 0;
        for (; i + 8 <= half; i += 8)
        {
            Vector256<float> a = Vector256.Load(x + i), b = Vector256.Load(x + half + i), c = Vector256.Load(cos + i), s = Vector256.Load(sin + i) * signs;
            (a * c - b * s).Store(x + i);
            (b * c + a * s).Store(x + half + i);
        }
        for (; i < half; i++)
        {
            float a = x[i], b = x[half + i], s = sin[i] * sign;
            x[i] = a * cos[i] - b * s;
            x[half + i] = b * cos[i] + a * s;
        }
    }

    public void Dispose()
    {
        Cos.Dispose();
        Sin.Dispose();
    }
}
