using System.Diagnostics;
using System.Globalization;

namespace Hone.Commands;

/// <summary><c>dotnet run</c> as the parent: killed outright, it would leave the program behind.</summary>
internal static class DotnetRun
{
    /// <summary>Calls when the <c>dotnet run</c> that started this process has ended; never where something else started it.</summary>
    public static async Task WhenItEndsAsync(Func<Task> act, CancellationToken cancellationToken)
    {
        if (Parent() is not { } parent)
            return;
        using (parent)
            await parent.WaitForExitAsync(cancellationToken);
        await act();
    }

    private static Process? Parent()
    {
        if (!OperatingSystem.IsLinux())
            return null;
        try
        {
            // pid (name) state parent …; the name may hold anything.
            string stat = File.ReadAllText("/proc/self/stat");
            int id = int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1], CultureInfo.InvariantCulture);
            string[] arguments = File.ReadAllText($"/proc/{id}/cmdline").Split('\0');
            return Path.GetFileName(arguments[0]) == "dotnet" && arguments.ElementAtOrDefault(1) == "run" ? Process.GetProcessById(id) : null;
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }
}
