using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>
/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864) in the halves layout of Hugging Face's models: element i turns with element i + d/2
/// by the angle <c>position · θ^(−2i/d)</c>.
/// </summary>
internal sealed class Rope(ModelConfig config)
{
    // Frequencies and angles are rounded to float32 where Hugging Face's code rounds them: the models were trained with these angles.
    private readonly float[] _inverseFrequencies = [.. Enumerable.Range(0, config.HeadDim / 2)
        .Select(i => 1 / (float)Math.Pow(config.RopeTheta, (float)(2 * i) / config.HeadDim))];

    /// <summary>Cosine and sine of each token's angles, [N, d/2] each.</summary>
    public RopeAngles Angles(ReadOnlySpan<int> positions)
    {
        int half = _inverseFrequencies.Length;
        var cos = new float[positions.Length * half];
        var sin = new float[positions.Length * half];
        for (int n = 0; n < positions.Length; n++)
        {
            for (int i = 0; i < half; i++)
            {
                float angle = positions[n] * _inverseFrequencies[i];
                (double s, double c) = Math.SinCos(angle);
                cos[n * half + i] = (float)c;
                sin[n * half + i] = (float)s;
            }
        }
        return new RopeAngles(tensor(cos, [positions.Length, half]), tensor(sin, [positions.Length, half]));
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
