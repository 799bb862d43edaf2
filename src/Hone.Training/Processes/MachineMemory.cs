using System.Globalization;

namespace Hone.Training.Processes;

/// <summary>Memory that a process may still take.</summary>
internal static class MachineMemory
{
    /// <param name="limitMb">The process's own limit in MiB.</param>
    public static long AvailableBytes(int? limitMb) =>
        Math.Min(limitMb is { } limit ? (long)limit << 20 : long.MaxValue, Math.Min(OfMachine(), OfGroup() ?? long.MaxValue));

    private static long OfMachine()
    {
        const string Key = "MemAvailable:";
        if (File.Exists("/proc/meminfo") && File.ReadLines("/proc/meminfo").FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal)) is { } line)
            return 1024 * long.Parse(line[Key.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture);
        return GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
    }

    /// <summary>Of a container's control group (version 2); its cache of files goes when memory is short and is not counted.</summary>
    private static long? OfGroup()
    {
        const string Folder = "/sys/fs/cgroup/";
        if (Number(Folder + "memory.max") is not { } limit || Number(Folder + "memory.current") is not { } used)
            return null;
        long cached = File.ReadLines(Folder + "memory.stat").Select(l => l.Split(' ')).Where(l => l is ["active_file" or "inactive_file", _]).Sum(l => long.Parse(l[1], CultureInfo.InvariantCulture));
        return Math.Max(0, limit - Math.Max(0, used - cached));
    }

    private static long? Number(string path) => File.Exists(path) && long.TryParse(File.ReadAllText(path), CultureInfo.InvariantCulture, out long value) ? value : null;
}
