using System.Diagnostics;

namespace Hone.Formats.Tests;

/// <summary>Code that is written for several widths of registers: this machine has one of them, and the others are what it does with instructions withheld.</summary>
internal static class InstructionSets
{
    /// <summary>Runs tests of this program again in a process that is refused some instructions; each has to pass there as well.</summary>
    /// <param name="without">AVX512 or AVX2; what builds on it is refused too.</param>
    public static async Task PassWithoutAsync(string without, CancellationToken cancellationToken, params string[] classes)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["-noColor", .. classes.SelectMany(name => new[] { "-class", name })])
        {
            RedirectStandardOutput = true,
            Environment = { ["DOTNET_Enable" + without] = "0" },
        };
        using Process tests = Process.Start(start)!;
        string output = await tests.StandardOutput.ReadToEndAsync(cancellationToken);
        await tests.WaitForExitAsync(cancellationToken);
        Assert.True(tests.ExitCode == 0, output);
        Assert.DoesNotContain("Total: 0", output, StringComparison.Ordinal);
    }
}
