using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using TorchSharp;

namespace Hone.Training.Devices;

/// <summary>What <c>HONE_LIBTORCH</c> names cannot be used; the message says what it lacks and what to do.</summary>
public sealed class LibtorchException(string message) : Exception(message);

/// <summary>
/// Another libtorch in the place of the packaged one: <c>HONE_LIBTORCH=DIR</c> names the <c>lib</c> folder of a PyTorch with CUDA. Its libraries are loaded before
/// TorchSharp's own, which then binds to them by their names; with all symbols at once, so that a version that lacks one says so and does not end the process later.
/// </summary>
internal static partial class Libtorch
{
    public const string Variable = "HONE_LIBTORCH";

    private const string Wanted = "Install PyTorch 2.10 with CUDA and give its lib folder, or unset HONE_LIBTORCH for the packaged library of the CPU";

    /// <summary>In the order of their needs.</summary>
    private static readonly string[] s_base = ["libc10.so", "libtorch_cpu.so"], s_cuda = ["libc10_cuda.so", "libtorch_cuda.so"], s_last = ["libtorch.so"];

    private static string? s_loaded, s_version;

    /// <summary>Of the library in use.</summary>
    public static string Version => s_version ?? torch.__version__;

    /// <summary>HONE_LIBTORCH names the library in use.</summary>
    public static bool IsNamed => s_loaded is not null;

    /// <summary>Loads what HONE_LIBTORCH names; before TorchSharp is used at all, which loads its own. Without the variable nothing happens.</summary>
    /// <exception cref="LibtorchException"/>
    public static void Load()
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } named || s_loaded == named)
            return;
        string folder = Path.GetFullPath(named);
        string? version = Check(folder);
        string binding = Binding();
        // Without it TorchSharp brings a second libtorch_cpu, see eng/LibtorchByName.targets.
        if (!File.Exists(Path.Combine(Path.GetDirectoryName(binding)!, "torch_cpu.so")))
            throw new InvalidOperationException($"torch_cpu.so is missing beside {binding}.");
        nint cpu = 0;
        foreach (string library in s_base.Concat(s_cuda).Concat(s_last))
        {
            nint handle = Open(Path.Combine(folder, library), Siblings(folder));
            if (library == "libtorch_cpu.so")
                cpu = handle;
        }
        version ??= VersionOf(cpu);
        if (Open(binding, [], out string error) == 0)
        {
            throw new LibtorchException(Regex.Match(error, @"undefined symbol: ([^\s,]+)") is { Success: true } symbol
                ? $"{Variable}: PyTorch {version ?? "of an unknown version"} in {folder} lacks {symbol.Groups[1].Value}, which Hone's binding needs; it is made for 2.10. {Wanted}."
                : $"{Variable}: Hone's binding does not load beside {folder}: {error}.");
        }
        (s_loaded, s_version) = (named, version ?? "unknown");
    }

    /// <summary>What the folder's files show.</summary>
    /// <returns>The version, where a file tells it.</returns>
    /// <exception cref="LibtorchException"/>
    public static string? Check(string folder)
    {
        if (!Directory.Exists(folder))
            throw new LibtorchException($"{Variable}: {folder} {(File.Exists(folder) ? "is no folder" : "does not exist")}. {Wanted}.");
        if (Missing(s_base.Concat(s_last)) is { Length: > 0 } missing)
        {
            string hint = new[] { "lib", Path.Combine("torch", "lib") }.Select(below => Path.Combine(folder, below)).FirstOrDefault(below => File.Exists(Path.Combine(below, s_base[1]))) is { } inner ? $" {inner} has them." : "";
            throw new LibtorchException($"{Variable}: {folder} is not the lib folder of a PyTorch: it has no {string.Join(", no ", missing)}.{hint} {Wanted}.");
        }
        string? version = VersionIn(folder);
        if (Missing(s_cuda) is { Length: > 0 } cuda)
        {
            string build = File.Exists(Path.Combine(folder, "libtorch_hip.so")) ? "for ROCm" : "for the CPU alone";
            throw new LibtorchException($"{Variable}: {folder} holds a PyTorch{(version is null ? "" : $" {version}")} {build}: it has no {string.Join(", no ", cuda)}. {Wanted}.");
        }
        // A later one may have all that the binding needs, and says so while it is loaded; an earlier one has other structures under the same names.
        if (version is not null && !(Numbers(version) is var (major, minor) && major == 2 && minor >= 10))
            throw new LibtorchException($"{Variable}: {folder} holds PyTorch {version}, and Hone's binding is made for 2.10. {Wanted}.");
        return version;

        string[] Missing(IEnumerable<string> names) => [.. names.Where(name => !File.Exists(Path.Combine(folder, name)))];
    }

    /// <summary>A wheel has <c>version.py</c> beside the folder, libtorch's archive <c>build-version</c>.</summary>
    private static string? VersionIn(string folder)
    {
        string python = Path.Combine(folder, "..", "version.py"), archive = Path.Combine(folder, "..", "build-version");
        if (File.Exists(python) && Regex.Match(File.ReadAllText(python), """__version__\s*=\s*['"]([^'"]+)['"]""") is { Success: true } said)
            return said.Groups[1].Value;
        return File.Exists(archive) ? File.ReadAllText(archive).Trim() : null;
    }

    private static (int Major, int Minor)? Numbers(string version) =>
        Regex.Match(version, @"^(\d+)\.(\d+)") is { Success: true } found ? (int.Parse(found.Groups[1].Value, null), int.Parse(found.Groups[2].Value, null)) : null;

    /// <summary>From the library itself, which has the function since 2.9: major, minor and patch in a byte each, from the highest on.</summary>
    private static unsafe string? VersionOf(nint library)
    {
        if (!NativeLibrary.TryGetExport(library, "aoti_torch_abi_version", out nint address))
            return null;
        ulong version = ((delegate* unmanaged[Cdecl]<ulong>)address)();
        return $"{version >> 56}.{version >> 48 & 255}.{version >> 40 & 255}";
    }

    /// <summary>Where the libraries lie that a wheel of PyTorch needs: those of the wheels beside it.</summary>
    private static string[] Siblings(string folder)
    {
        string packages = Path.GetFullPath(Path.Combine(folder, "..", "..")), vendor = Path.Combine(packages, "nvidia");
        string[] wheels = Directory.Exists(vendor) ? Directory.GetDirectories(vendor) : [];
        return [folder, .. wheels.Select(wheel => Path.Combine(wheel, "lib")).Where(Directory.Exists).Order(StringComparer.Ordinal)];
    }

    /// <summary>Loads a library with all its symbols, and first what it needs and the system does not find.</summary>
    /// <param name="places">Folders to look in for that.</param>
    /// <exception cref="LibtorchException"/>
    public static nint Open(string path, IReadOnlyList<string> places)
    {
        nint handle = Open(path, places, out string error);
        return handle != 0 ? handle : throw new LibtorchException(Needed(error) is { } needed
            ? $"{Variable}: {path} needs {needed}, which is neither in {string.Join(", ", places)} nor among the system's libraries. Install what PyTorch needs of CUDA (the wheels nvidia-*), or add its folder to LD_LIBRARY_PATH."
            : $"{Variable}: {path} does not load: {error}.");
    }

    private static nint Open(string path, IReadOnlyList<string> places, out string error)
    {
        var tried = new HashSet<string>(StringComparer.Ordinal);
        while (true)
        {
            _ = DynamicError(); // bound before the call that may fail: binding it would clear what it has to tell
            nint handle = DynamicOpen(path, Now | Global);
            error = handle != 0 ? "" : Marshal.PtrToStringUTF8(DynamicError()) ?? "the loader gives no reason";
            if (handle != 0 || Needed(error) is not { } needed || !tried.Add(needed))
                return handle;
            if (places.Select(place => Path.Combine(place, needed)).FirstOrDefault(File.Exists) is not { } found)
                return 0;
            if (Open(found, places, out string inner) == 0)
            {
                error = inner;
                return 0;
            }
        }
    }

    /// <summary>The library that glibc's loader did not find; null: it says something else.</summary>
    private static string? Needed(string error) => Regex.Match(error, "^([^:/]+): cannot open shared object file") is { Success: true } found ? found.Groups[1].Value : null;

    /// <summary>TorchSharp's own native library, where the host finds it.</summary>
    private static string Binding()
    {
        string folders = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        return folders.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Append(AppContext.BaseDirectory)
            .Select(folder => Path.Combine(folder, "libLibTorchSharp.so")).FirstOrDefault(File.Exists) ?? throw new InvalidOperationException("libLibTorchSharp.so lies in none of the program's folders.");
    }

    private const int Now = 2, Global = 0x100; // RTLD_NOW, RTLD_GLOBAL

    [LibraryImport("libc", EntryPoint = "dlopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint DynamicOpen(string path, int flags);

    [LibraryImport("libc", EntryPoint = "dlerror")]
    private static partial nint DynamicError();
}
