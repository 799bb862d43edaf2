using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hone.Formats.Jobs;
using Hone.Tests.Crash;

namespace Hone.Tests.Commands.Children;

/// <summary>A job with HONE_LIBTORCH, as the worker starts it: the libraries of a folder in the place of the packaged ones.</summary>
[Trait("Category", "Native")]
[Trait("Category", "Slow")]
public sealed class LibtorchTests : IDisposable
{
    private static readonly string s_packaged = Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native");

    private readonly string _folder = Directory.CreateTempSubdirectory("hone-libtorch-").FullName;

    private string Libraries => Path.Combine(_folder, "torch", "lib");

    public LibtorchTests()
    {
        Directory.CreateDirectory(Libraries);
        File.WriteAllText(Path.Combine(_folder, "torch", "version.py"), "__version__ = '2.10.0+folder'\n");
        File.Copy(Path.Combine(s_packaged, "libgomp-98b21ff3.so.1"), Path.Combine(Libraries, "libgomp-98b21ff3.so.1"));
        foreach (string cuda in new[] { "libc10_cuda.so", "libtorch_cuda.so" })
            Empty(cuda);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Copies of the packaged libraries, and libraries of CUDA that are empty: the job trains with the copies alone, and says that there is no device.</summary>
    [Fact]
    public async Task Train_LibrariesOfAFolder_AreTheOnesInUseAndTheMissingDeviceIsSaid()
    {
        Assert.SkipWhen(File.Exists("/dev/nvidiactl"), "there is a device");
        foreach (string library in new[] { "libc10.so", "libtorch_cpu.so", "libtorch.so" })
            File.Copy(Path.Combine(s_packaged, library), Path.Combine(Libraries, library));
        await using HoneProcess process = Train(epochs: 15);
        string settings = await process.LineWithAsync("\"settings\"");
        Assert.Matches("\"key\":\"device\",\"value\":\"cpu\",\"origin\":\"auto: (NVIDIA|the driver)", settings);
        Assert.Contains("HONE_LIBTORCH is set, and the training runs on the CPU", await process.LineWithAsync("\"warn\""), StringComparison.Ordinal);
        await process.LineWithAsync("\"step\"");
        string[] mapped = [.. Regex.Matches(File.ReadAllText($"/proc/{process.Id}/maps"), @"/\S*/libtorch_cpu\.so").Select(m => m.Value).Distinct()];
        Assert.Equal([Path.Combine(Libraries, "libtorch_cpu.so")], mapped);
        await process.LineWithAsync("\"finished\"");
        Assert.Equal(0, await process.ExitAsync());
        Assert.Contains("\"libtorch\": \"2.10.0\\u002Bfolder\"", File.ReadAllText(Path.Combine(_folder, "run.json")), StringComparison.Ordinal);
    }

    /// <summary>Another version's libraries may lack what the binding calls; without a check the process would end in the middle of a job.</summary>
    [Fact]
    public async Task Train_LibrariesThatLackASymbol_FailsTheJobWithItsName()
    {
        foreach (string library in new[] { "libc10.so", "libtorch_cpu.so", "libtorch.so" })
            Empty(library);
        await using HoneProcess process = Train(epochs: 1);
        string failed = await process.LineWithAsync("\"failed\"");
        Assert.Contains("bad_libtorch", failed, StringComparison.Ordinal);
        Assert.Matches("PyTorch 2.10.0.{1,6}folder in .*/torch/lib lacks _Z", failed);
        Assert.Equal(1, await process.ExitAsync());
    }

    [Fact]
    public async Task BenchTrain_FolderThatIsNotThere_SaysSoInOneLine()
    {
        string nowhere = Path.Combine(_folder, "nowhere");
        await using var process = new HoneProcess(new Dictionary<string, string> { ["HONE_LIBTORCH"] = nowhere }, "bench", "train", "--steps", "1");
        Assert.Equal(1, await process.ExitAsync());
        Assert.Matches($"^error: HONE_LIBTORCH: {nowhere} does not exist. Install [^\n]*\n$", await process.ErrorAsync());
    }

    private HoneProcess Train(int epochs)
    {
        SmallModel.Write(Repository.PathOf("models/SmolLM2-135M-Instruct.Q4_1.gguf"), Path.Combine(_folder, "small.gguf"));
        File.Copy(Repository.PathOf("examples/support-triage/train.jsonl"), Path.Combine(_folder, "training_data.jsonl"));
        var spec = new JobSpec
        {
            JobId = "folder",
            Fence = 1,
            Name = "folder",
            ModelId = "small",
            ModelPath = Path.Combine(_folder, "small.gguf"),
            TrainingData = "training_data.jsonl",
            Config = new TrainingConfig { NEpochs = epochs, BatchSize = 240 },
            Threads = 1,
        };
        File.WriteAllBytes(Path.Combine(_folder, JobSpec.FileName), JsonSerializer.SerializeToUtf8Bytes(spec, JobJson.Default.JobSpec));
        return new HoneProcess(new Dictionary<string, string> { ["HONE_LIBTORCH"] = Libraries }, "train", _folder);
    }

    /// <summary>A library without a symbol of its own that the loader takes for the named one.</summary>
    private void Empty(string name)
    {
        byte[] elf = File.ReadAllBytes(Path.Combine(s_packaged, "libtorch_global_deps.so")), own = Encoding.ASCII.GetBytes("libtorch_global_deps.so");
        for (int at; (at = elf.AsSpan().IndexOf(own)) >= 0;)
            Encoding.ASCII.GetBytes(name + '\0').CopyTo(elf, at);
        File.WriteAllBytes(Path.Combine(Libraries, name), elf);
    }
}
