using System.CommandLine;
using Hone.Commands;
using Hone.Core.Scheduling;

namespace Hone.Tests.Commands;

public sealed class WorkerOptionsTests
{
    [Theory]
    [InlineData("900M", 900)]
    [InlineData("900 MiB", 900)]
    [InlineData("2.5g", 2560)]
    [InlineData("1TB", 1 << 20)]
    [InlineData("256mb", 256)]
    [InlineData("0.2G", null)]
    [InlineData("1e3M", null)]
    [InlineData("2,5G", null)]
    [InlineData(".G", null)]
    [InlineData("G", null)]
    [InlineData("", null)]
    [InlineData("99999T", null)]
    public void Megabytes_Size_IsCountedInPowersOf1024(string size, int? megabytes) => Assert.Equal(megabytes, WorkerOptions.Megabytes(size));

    [Theory]
    [InlineData("", 1, null, null)]
    [InlineData("--slots 3 --threads 4 --memory-limit 2G", 3, 4, 2048)]
    public void Read_Flags_AreTheWorkersSettings(string line, int slots, int? threads, int? megabytes)
    {
        var command = new Command("worker");
        var options = new WorkerOptions();
        options.AddTo(command);
        WorkerSettings settings = options.Read(command.Parse(line), "/data");
        Assert.Equal(("/data", slots, threads, megabytes), (settings.DataFolder, settings.Slots, settings.Threads, settings.MemoryLimitMb));
    }
}
