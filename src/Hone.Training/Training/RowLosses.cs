namespace Hone.Training.Training;

/// <summary>
/// Each encoded row's loss as the steps that saw it computed it anyway: the first, and the mean of all later ones. Float32, because a checkpoint
/// holds them as float32, and a resumed run must end with the same numbers.
/// </summary>
internal sealed class RowLosses
{
    private const int Columns = 4, FirstLoss = 0, FirstStep = 1, LaterSum = 2, LaterTimes = 3;

    private readonly float[] _values; // [R, 4]

    public RowLosses(int rows) => _values = new float[Columns * (long)rows];

    /// <param name="values">As <see cref="Values"/> gives it.</param>
    public RowLosses(float[] values) => _values = values;

    /// <summary>[R, 4]; zeros where no step has seen the row.</summary>
    public float[] Values => _values;

    public long[] Shape => [_values.Length / Columns, Columns];

    /// <summary>Step 0: none has seen the row.</summary>
    public (float Loss, int Step) First(int row) => (Of(row)[FirstLoss], (int)Of(row)[FirstStep]);

    /// <summary>The mean of all but the first; null where one step alone has seen the row.</summary>
    public float? Later(int row) => Of(row)[LaterTimes] > 0 ? Of(row)[LaterSum] / Of(row)[LaterTimes] : null;

    public void Record(int row, int step, double value)
    {
        float loss = Stored(value);
        Span<float> of = Of(row);
        if (of[FirstStep] == 0)
        {
            (of[FirstLoss], of[FirstStep]) = (loss, step);
        }
        else
        {
            of[LaterSum] += loss;
            of[LaterTimes]++;
        }
    }

    /// <summary>Finite: two float32 logits can be further apart than the largest of them.</summary>
    public static float Stored(double loss) => (float)Math.Min(loss, 1e30);

    private Span<float> Of(int row) => _values.AsSpan(row * Columns, Columns);
}
