using System.Text;
using Hone.Training.Devices;

namespace Hone.Training.Tests.Devices;

/// <summary>What a folder lacks is said before anything of it is used.</summary>
public sealed class LibtorchTests : IDisposable
{
    private static readonly string s_packaged = Path.GetDirectoryName(Directory.GetFiles(AppContext.BaseDirectory, "libtorch_global_deps.so", SearchOption.AllDirectories)[0])!;

    private readonly string _packages = Directory.CreateTempSubdirectory("hone-libtorch-").FullName;

    private string Folder => Path.Combine(_packages, "torch", "lib");

    public void Dispose() => Directory.Delete(_packages, recursive: true);

    [Fact]
    public void Check_NoSuchFolder_SaysSo() => Assert.Matches("^HONE_LIBTORCH: .*/torch/lib does not exist. Install PyTorch 2.10 with CUDA and give its lib folder, or unset HONE_LIBTORCH", Refusal(Folder));

    [Fact]
    public void Check_FolderAbove_NamesWhatIsMissingAndTheRightOne()
    {
        Files("libc10.so", "libtorch_cpu.so", "libtorch.so");
        Assert.Contains($"it has no libc10.so, no libtorch_cpu.so, no libtorch.so. {Folder} has them.", Refusal(Path.Combine(_packages, "torch")), StringComparison.Ordinal);
        File.Delete(Path.Combine(Folder, "libc10.so"));
        Assert.Contains("it has no libc10.so. Install", Refusal(Folder), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("libtorch_python.so", "for the CPU alone")]
    [InlineData("libtorch_hip.so", "for ROCm")]
    public void Check_BuildWithoutCuda_SaysWhichItIs(string beside, string build)
    {
        Files("libc10.so", "libtorch_cpu.so", "libtorch.so", beside);
        Version("2.10.0+x");
        Assert.Contains($"holds a PyTorch 2.10.0+x {build}: it has no libc10_cuda.so, no libtorch_cuda.so.", Refusal(Folder), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("2.9.1+cu128", false)]
    [InlineData("3.0.0", false)]
    [InlineData("2.10.0+cu128", true)]
    [InlineData("2.11.0+cu130", true)] // loads where it has all that is needed
    public void Check_Version_IsReadAndRefusedWhereItCannotFit(string version, bool fits)
    {
        Files("libc10.so", "libtorch_cpu.so", "libtorch.so", "libc10_cuda.so", "libtorch_cuda.so");
        Assert.Null(Libtorch.Check(Folder));
        Version(version);
        if (fits)
            Assert.Equal(version, Libtorch.Check(Folder));
        else
            Assert.Contains($"holds PyTorch {version}, and Hone's binding is made for 2.10.", Refusal(Folder), StringComparison.Ordinal);
    }

    /// <summary>A wheel's libraries of CUDA lie in wheels of their own.</summary>
    [Fact]
    public void Open_LibraryThatNeedsAnother_FindsItBesideOrNamesIt()
    {
        Directory.CreateDirectory(Folder);
        string library = Path.Combine(Folder, "libtorch_cuda.so"), sibling = Path.Combine(_packages, "nvidia", "runtime", "lib");
        const string Needed = "libgomp-98b21ff3.so.1", Other = "libgomp-00000000.so.1";
        Renamed("libtorch_global_deps.so", library, (Needed, Other), ("libtorch_global_deps.so", "libtorch_cuda_test.so\0"));
        LibtorchException missing = Assert.Throws<LibtorchException>(() => Libtorch.Open(library, [Folder, sibling]));
        Assert.StartsWith($"HONE_LIBTORCH: {library} needs {Other}, which is neither in {Folder}, {sibling} nor among the system's libraries.", missing.Message, StringComparison.Ordinal);
        Directory.CreateDirectory(sibling);
        Renamed("libtorch_global_deps.so", Path.Combine(sibling, Other), ("libtorch_global_deps.so", Other + "\0"), (Needed, "libm.so.6\0"));
        Assert.NotEqual(0, Libtorch.Open(library, [Folder, sibling]));
    }

    [Fact]
    public void Open_FileThatIsNoLibrary_SaysWhatTheLoaderSays()
    {
        Files("libc10.so");
        Assert.Contains("libc10.so does not load: ", Assert.Throws<LibtorchException>(() => Libtorch.Open(Path.Combine(Folder, "libc10.so"), [])).Message, StringComparison.Ordinal);
    }

    private static string Refusal(string folder) => Assert.Throws<LibtorchException>(() => Libtorch.Check(folder)).Message;

    private void Files(params string[] names)
    {
        Directory.CreateDirectory(Folder);
        foreach (string name in names)
            File.WriteAllText(Path.Combine(Folder, name), "not a library");
    }

    private void Version(string version) => File.WriteAllText(Path.Combine(_packages, "torch", "version.py"), $"from typing import Optional\n__all__ = ['__version__']\n__version__ = '{version}'\ncuda: Optional[str] = '12.8'\n");

    /// <summary>A packaged library under other names, none of them longer.</summary>
    private static void Renamed(string from, string to, params (string Old, string New)[] names)
    {
        byte[] elf = File.ReadAllBytes(Path.Combine(s_packaged, from));
        foreach ((string old, string other) in names)
        {
            byte[] name = Encoding.ASCII.GetBytes(old);
            for (int at; (at = elf.AsSpan().IndexOf(name)) >= 0;)
                Encoding.ASCII.GetBytes(other).CopyTo(elf, at);
        }
        File.WriteAllBytes(to, elf);
    }
}
