using System.Globalization;
using System.Runtime.InteropServices;
using Hone.Formats.Models;
using Hone.Training.Training;
using TorchSharp;

namespace Hone.Training.Devices;

/// <summary>Where a training's steps run.</summary>
/// <param name="Device">Null: Hone's own kernels on the CPU.</param>
/// <param name="Name">As the report has it.</param>
/// <param name="Why">For the setting's origin.</param>
internal sealed record TrainingDevice(torch.Device? Device, string Name, string Why)
{
    private const int BFloat16Capability = 80;

    /// <summary>What <c>precision: auto</c> comes to on the device.</summary>
    public PrecisionChoice Precision { get; init; } = new(BasePrecision.Float32, "the reference");

    /// <summary>Of its memory.</summary>
    public long FreeBytes { get; init; }

    /// <summary>With <see cref="Libtorch"/> loaded, the first CUDA device, where it computes a tiny model right.</summary>
    /// <returns>Null where no library is named: nobody asks for a device.</returns>
    public static TrainingDevice? Find()
    {
        if (!Libtorch.IsNamed)
            return null;
        (CudaDevice? found, string why) = CudaDriver.First();
        if (found is null)
            return OnCpu(why);
        if (!torch.cuda.is_available())
            return OnCpu($"{why}, {found.Name} is there, and PyTorch {Libtorch.Version} does not take it: is the driver older than the CUDA that it was built for?");
        bool brain = found.Capability >= BFloat16Capability;
        try
        {
            var device = new torch.Device(DeviceType.CUDA, 0);
            double single = DeviceProbe.Difference(device, WeightForm.Float32);
            double rounded = brain ? DeviceProbe.Difference(device, WeightForm.BFloat16) : 0;
            if (!(single <= DeviceProbe.Float32Tolerance && rounded <= DeviceProbe.BFloat16Tolerance))
                return OnCpu(string.Create(CultureInfo.InvariantCulture, $"{found.Name} computes a tiny model's gradients {single:g2} off in float32 and {rounded:g2} in bfloat16"));
            string probed = string.Create(CultureInfo.InvariantCulture, $"PyTorch {Libtorch.Version}, and a tiny model's gradients lie within {single:g2} of the CPU's");
            return new TrainingDevice(device, $"cuda:0 ({found.Name})", probed)
            {
                Precision = brain
                    ? new PrecisionChoice(new BasePrecision(WeightForm.BFloat16), string.Create(CultureInfo.InvariantCulture, $"{found.Name} has products in it, which lie within {rounded:g2} of the CPU's"))
                    : new PrecisionChoice(BasePrecision.Float32, $"{found.Name} has no products in bfloat16"),
                FreeBytes = CudaDriver.FreeBytes(),
            };
        }
        catch (Exception e) when (e is ExternalException or InvalidOperationException)
        {
            return OnCpu($"{found.Name} fails on a tiny model: {e.Message.Split('\n')[0]}");
        }
    }

    public static TrainingDevice OnCpu(string why) => new(null, "cpu", why);
}
