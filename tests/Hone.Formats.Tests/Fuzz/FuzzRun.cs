using System.Diagnostics;
using System.Globalization;
using Hone.Formats.ChatTemplates;

namespace Hone.Formats.Tests.Fuzz;

/// <summary>
/// Damaged inputs in great number, from a fixed seed: each is read whole, or refused with the product's own error that says where; within a second, and within
/// memory that is in proportion to the input. <c>HONE_FUZZ=100000</c> tries as many of each format; each input has a seed of its own, so that it can be made again alone.
/// </summary>
internal static class FuzzRun
{
    private const int Usual = 2_000;
    private const int Seed = 20_250_117;
    private const int MostMemory = 64 << 20;
    private const int MostMessage = 8_000;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(1);

    public static int Count { get; } = Environment.GetEnvironmentVariable("HONE_FUZZ") is { Length: > 0 } count ? int.Parse(count, CultureInfo.InvariantCulture) : Usual;

    /// <param name="format">Takes part in each input's seed, and names it in errors.</param>
    /// <param name="make">An input, and its size in bytes.</param>
    /// <param name="read">Throws <see cref="InvalidFileException"/> or <see cref="ChatTemplateException"/> for what cannot be read.</param>
    /// <param name="place">What a message about an input has to hold, such as the file's name.</param>
    public static void Run<T>(string format, Func<Random, int, (T Input, long Size)> make, Action<T> read, string place)
    {
        int refused = 0;
        (TimeSpan longest, long most) = (TimeSpan.Zero, 0);
        for (int i = 0; i < Count; i++)
        {
            (T input, long size) = make(new Random(unchecked(Seed + format[0] * 1_000_003 + format.Length * 7_919 + i)), i);
            (Exception? error, TimeSpan time, long memory) = Try(read, input);
            // A busy machine is slow once; what hangs is slow each time.
            for (int again = 0; again < 3 && time > s_limit; again++)
                time = Try(read, input).Time is var other && other < time ? other : time;
            longest = time > longest ? time : longest;
            most = Math.Max(most, memory - size * 4);
            string what = $"{format} {i} of {size} bytes";
            switch (error)
            {
                case null:
                    break;
                case InvalidFileException or ChatTemplateException:
                    refused++;
                    Assert.True(error.Message.Length < MostMessage, $"{what}: {error.Message}");
                    Assert.True(error.Message.Contains(place, StringComparison.Ordinal) && error.Message.Length > place.Length + 10, $"{what}: the message does not say where: {error.Message}");
                    break;
                default:
                    Assert.Fail($"{what}: {error}\n{Show(input)}");
                    break;
            }
            Assert.True(time < s_limit, $"{what} takes {time}.\n{Show(input)}");
            Assert.True(memory < size * 4 + MostMemory, $"{what} allocates {memory} bytes.\n{Show(input)}");
        }
        TestContext.Current.TestOutputHelper!.WriteLine($"{format}: {Count} inputs, {refused} refused, longest {longest.TotalMilliseconds:0} ms, most memory beyond size × 4 {most / 1024.0 / 1024.0:0.0} MB");
        Assert.InRange(refused, Count / 10, Count - Count / 100); // neither an input that nothing damages nor a reader that takes nothing
    }

    private static (Exception? Error, TimeSpan Time, long Memory) Try<T>(Action<T> read, T input)
    {
        Exception? error = null;
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        try
        {
            read(input);
        }
        catch (Exception e)
        {
            error = e;
        }
        return (error, Stopwatch.GetElapsedTime(start), GC.GetAllocatedBytesForCurrentThread() - allocated);
    }

    /// <summary>The input itself, for a report.</summary>
    private static string Show<T>(T input) => input switch
    {
        byte[] bytes => Convert.ToBase64String(bytes.AsSpan(0, Math.Min(bytes.Length, 20_000))),
        _ => input!.ToString()!,
    };
}
