using System.Runtime.CompilerServices;
using Hone.Training.Devices;
using TorchSharp;

namespace Hone.Training.Tests;

/// <summary>What the tests of devices run on: the first CUDA device where HONE_LIBTORCH names a library that takes one, else the CPU.</summary>
internal static class TestDevice
{
    /// <summary>Before any test's first tensor.</summary>
    [ModuleInitializer]
    internal static void LoadLibrary() => Libtorch.Load();

    public static torch.Device Device { get; } = Libtorch.IsNamed && torch.cuda.is_available() ? new torch.Device(DeviceType.CUDA, 0) : torch.CPU;

    /// <summary>Dropout masks are the CPU's.</summary>
    public static bool DrawsAsCpu => Device.type == DeviceType.CPU;
}
