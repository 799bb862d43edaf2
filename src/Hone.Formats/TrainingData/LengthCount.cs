using System.Numerics;

namespace Hone.Formats.TrainingData;

/// <summary>Lengths and how often each was seen.</summary>
internal sealed class LengthCount
{
    private readonly Dictionary<int, int> _counts = [];
    private long _sum;
    private int _rows;

    public void Add(int length)
    {
        _counts[length] = _counts.GetValueOrDefault(length) + 1;
        _sum += length;
        _rows++;
    }

    /// <summary>Null before the first.</summary>
    public LengthSummary? Summary()
    {
        if (_rows == 0)
            return null;
        int[] lengths = [.. _counts.Keys.Order()];
        return new(lengths[0], Math.Round((double)_sum / _rows, 1), At(0.5), At(0.95), lengths[^1]);

        int At(double share)
        {
            long needed = (long)Math.Ceiling(share * _rows);
            return lengths.First(length => (needed -= _counts[length]) <= 0);
        }
    }

    public List<LengthBucket> Histogram()
        => [.. _counts.GroupBy(c => Bound(c.Key)).OrderBy(g => g.Key).Select(g => new LengthBucket(g.Key, g.Sum(c => c.Value)))];

    private static int Bound(int length)
    {
        int power = (int)BitOperations.RoundUpToPowerOf2((uint)length);
        return length <= power / 4 * 3 ? power / 4 * 3 : power;
    }
}
