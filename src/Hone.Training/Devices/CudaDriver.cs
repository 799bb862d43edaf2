using System.Globalization;
using System.Runtime.InteropServices;

namespace Hone.Training.Devices;

/// <param name="Name">Such as NVIDIA H200.</param>
/// <param name="Capability">Of its generation, times ten: 80 has products in bfloat16.</param>
internal sealed record CudaDevice(string Name, int Capability);

/// <summary>NVIDIA's driver, asked itself: the tensor library says no more than that it found no device.</summary>
internal static partial class CudaDriver
{
    private const string Library = "libcuda.so.1";
    private const int Major = 75, Minor = 76; // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…
    private const int NoDevice = 100;

    /// <returns>The first device, or why there is none.</returns>
    public static (CudaDevice? Device, string Why) First()
    {
        if (!NativeLibrary.TryLoad(Library, out _))
            return (null, $"NVIDIA's driver is not installed: there is no {Library}");
        int result = Initialize(0);
        if (result == NoDevice)
        {
            return (null, Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES") is { } visible
                ? $"the driver shows no device; CUDA_VISIBLE_DEVICES is \"{visible}\""
                : "the driver shows no device; in a container, is it let in?");
        }
        if (result != 0)
            return (null, $"the driver does not start (error {result})");
        _ = DriverVersion(out int version);
        string driver = string.Create(CultureInfo.InvariantCulture, $"the driver is for CUDA {version / 1000}.{version % 1000 / 10}");
        Span<byte> name = stackalloc byte[256];
        name.Clear();
        if (Device(out int device, 0) != 0 || NameOf(ref MemoryMarshal.GetReference(name), name.Length, device) != 0 || Attribute(out int major, Major, device) != 0 || Attribute(out int minor, Minor, device) != 0)
            return (null, $"{driver} and does not describe its device");
        return (new CudaDevice(System.Text.Encoding.UTF8.GetString(name[..name.IndexOf((byte)0)]), 10 * major + minor), driver);
    }

    /// <summary>Of the device that this thread's library uses.</summary>
    public static long FreeBytes() => Memory(out nuint free, out _) == 0 ? (long)free : 0;

    [LibraryImport(Library, EntryPoint = "cuInit")]
    private static partial int Initialize(uint flags);

    [LibraryImport(Library, EntryPoint = "cuDriverGetVersion")]
    private static partial int DriverVersion(out int version);

    [LibraryImport(Library, EntryPoint = "cuDeviceGet")]
    private static partial int Device(out int device, int ordinal);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetName")]
    private static partial int NameOf(ref byte name, int length, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetAttribute")]
    private static partial int Attribute(out int value, int attribute, int device);

    [LibraryImport(Library, EntryPoint = "cuMemGetInfo_v2")]
    private static partial int Memory(out nuint free, out nuint total);
}
