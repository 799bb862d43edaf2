using Hone.Formats.Models;
using Hone.Training.Devices;

namespace Hone.Training.Tests.Devices;

[Trait("Category", "Device")]
public sealed class DeviceProbeTests
{
    [Fact]
    public void Difference_DeviceThatComputesRight_LiesWithinTheTolerances()
    {
        Assert.InRange(DeviceProbe.Difference(TestDevice.Device, WeightForm.Float32), 0, DeviceProbe.Float32Tolerance);
        Assert.InRange(DeviceProbe.Difference(TestDevice.Device, WeightForm.BFloat16), DeviceProbe.Float32Tolerance, DeviceProbe.BFloat16Tolerance / 2);
    }

    [Fact]
    public void First_MachineWithoutADriver_SaysThatItIsMissing()
    {
        (CudaDevice? device, string why) = CudaDriver.First();
        Assert.SkipWhen(device is not null, "there is a device");
        Assert.Matches("driver", why);
    }
}
