using System.Globalization;

namespace Hone.Core.Processes;

/// <summary>
/// The environment of a child that holds native code: a list of what it may know, so that no credential of the server ever reaches it,
/// plus what its speed depends on.
/// </summary>
internal static class ChildEnvironment
{
    private static readonly string[] Names =
    [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "LD_LIBRARY_PATH",
        "HONE_LIBTORCH", "HONE_CRASH_AT", "HONE_CRASH_MARKER", "SystemRoot", "TEMP", "TMP", "USERPROFILE",
    ];

    private static readonly string[] Prefixes = ["LC_", "DOTNET_", "OMP_", "MKL_", "KMP_", "CUDA_", "NVIDIA_"];

    /// <summary>
    /// Large blocks stay with the allocator: libtorch takes and gives back the same sizes each step, and fresh pages cost more than the arithmetic on them.
    /// Where the system offers huge pages, the base's weights are spread over hundreds of pages in place of a hundred thousand.
    /// </summary>
    private const string Malloc = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184:glibc.malloc.hugetlb=1";

    public static Dictionary<string, string> Build(IReadOnlyDictionary<string, string> parent, int? threads, IReadOnlyDictionary<string, string>? extra)
    {
        var result = new Dictionary<string, string>();
        foreach ((string name, string value) in parent)
        {
            if (IsAllowed(name))
                result[name] = value;
        }
        result["GLIBC_TUNABLES"] = Malloc;
        result["DOTNET_gcServer"] = "0";
        // Its pipes in the temporary folder would outlive a child that is killed, and those that leave without the runtime's ending.
        result.TryAdd("DOTNET_EnableDiagnostics", "0");
        if (threads is { } count)
            result["OMP_NUM_THREADS"] = count.ToString(CultureInfo.InvariantCulture);
        foreach ((string name, string value) in extra ?? new Dictionary<string, string>())
            result[name] = value;
        return result;
    }

    /// <summary>DOTNET_ variables with a double underscore are an application's settings (connection strings among them), not the runtime's.</summary>
    private static bool IsAllowed(string name) =>
        Names.Contains(name) || (Prefixes.Any(p => name.StartsWith(p, StringComparison.Ordinal)) && !name.Contains("__", StringComparison.Ordinal));
}
