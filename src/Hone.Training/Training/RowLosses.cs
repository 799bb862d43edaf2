namespace Hone.Training.Training;

/// <summary>
/// Each encoded row's loss whenever a step saw it: the first, the last, and the mean of all but the first. The steps compute them anyway. Float32, because a checkpoint
/// holds them as float32, and a resumed run must end with the same numbers.
/// </summary>
internal sealed class RowLosses
{
    private const int Columns = 6, FirstLoss = 0, FirstStep = 1, LastLoss = 2, LastStep = 3, LaterSum = 4, LaterTimes = 5;

    private readonly float[] _values; // [R, 6]

    public RowLosses(int rows) => _values = new float[Columns * (long)rows];

    /// <param name="values">As <see cref="Values"/> gives it.</param>
    public RowLosses(float[] values) => _values = values;

    /// <summary>[R, 6]; zeros where no step has seen the row.</summary>
    public float[] Values => _values;

    public long[] Shape => [_values.Length / Columns, Columns];

    public (float Loss, int Step) First(int row) => (Of(row)[FirstLoss], (int)Of(row)[FirstStep]);

    public (float Loss, int Step) Last(int row) => (Of(row)[LastLoss], (int)Of(row)[LastStep]);

    /// <summary>The mean of all but the first; null where one step alone has seen the row.</summary>
    public float? Later(int row) => Of(row)[LaterTimes] > 0 ? Of(row)[LaterSum] / Of(row)[LaterTimes] : null;

    public void Record(int row, int step, double value)
    {
        float loss = (float)Math.Min(value, 1e30); // two float32 logits can be further apart than the largest of them
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
        (of[LastLoss], of[LastStep]) = (loss, step);
    }

    private Span<float> Of(int row) => _values.AsSpan(row * Columns, Columns);
}
