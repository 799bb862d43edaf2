using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Hone.Core.Scheduling;

namespace Hone.Commands;

/// <summary>How trainers are run, as <c>hone serve</c> and <c>hone worker</c> take it.</summary>
internal sealed class WorkerOptions
{
    public const int MostThreads = 1024;
    private const int LeastMemoryMb = 256;

    private readonly Option<int?> _slots = new("--slots") { Description = "Jobs at a time, 1 to 64; they share the cores. Default: 1.", HelpName = "N", CustomParser = argument => Number(argument, "--slots", 64) };
    private readonly Option<int?> _threads = new("--threads") { Description = "Threads of a trainer. Default: the machine's cores, shared by the slots.", HelpName = "N", CustomParser = argument => Number(argument, "--threads", MostThreads) };
    private readonly Option<int?> _memory = new("--memory-limit")
    {
        Description = "Private memory that a trainer may have, such as 900M or 2.5G; a job that needs more ends as out_of_memory. Default: no limit.",
        HelpName = "SIZE",
        CustomParser = Size,
    };

    private Option[] All => [_slots, _threads, _memory];

    public void AddTo(Command command)
    {
        foreach (Option option in All)
            command.Options.Add(option);
    }

    public IEnumerable<string> UsageErrors(ParseResult parse, Option<bool> noWorker)
    {
        if (parse.GetValue(noWorker) && Array.Find(All, option => parse.GetResult(option) is { Implicit: false }) is { } idle)
            yield return $"{idle.Name} tells how to train, and --no-worker trains nothing here: leave out one of them, or give {idle.Name} to `hone worker`.";
    }

    public WorkerSettings Read(ParseResult parse, string data) => new()
    {
        DataFolder = data,
        Slots = parse.GetValue(_slots) ?? 1,
        Threads = parse.GetValue(_threads),
        MemoryLimitMb = parse.GetValue(_memory),
    };

    internal static int? Number(ArgumentResult argument, string option, int most)
    {
        string given = argument.Tokens[0].Value;
        if (int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= 1 && number <= most)
            return number;
        argument.AddError($"{option} {given}: a number from 1 to {most} is expected.");
        return null;
    }

    private static int? Size(ArgumentResult argument)
    {
        string given = argument.Tokens[0].Value;
        int? megabytes = Megabytes(given);
        if (megabytes is null)
            argument.AddError($"--memory-limit {given}: a number and a unit are expected, such as 900M or 2.5G, and at least {LeastMemoryMb}M.");
        return megabytes;
    }

    /// <summary>Null: none, or too little.</summary>
    internal static int? Megabytes(string size) => ByteSize.Parse(size) >> 20 is { } megabytes and >= LeastMemoryMb and <= int.MaxValue ? (int)megabytes : null;
}
