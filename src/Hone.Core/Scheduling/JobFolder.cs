using System.Globalization;
using System.Text.Json;
using Hone.Core.Processes;
using Hone.Formats.Files;
using Hone.Formats.Jobs;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Scheduling;

/// <summary>
/// The folder of one attempt, <c>{data}/jobs/{job}/{fence}/</c>: all that the trainer sees, and where it writes. The inputs are links to blobs.
/// It is gone when the attempt is over; what outlives an attempt is in the blob store.
/// </summary>
internal sealed class JobFolder : IDisposable
{
    public const string ResumeFile = "resume.safetensors";
    private const string AdapterFolder = "adapter";

    private JobFolder(string path) => Path = path;

    public string Path { get; }

    public static string Root(string dataFolder) => System.IO.Path.Combine(System.IO.Path.GetFullPath(dataFolder), "jobs");

    /// <param name="inputs">Names in the folder, and the blobs' files.</param>
    public static JobFolder Create(string dataFolder, JobSpec spec, IReadOnlyDictionary<string, string> inputs)
    {
        string path = System.IO.Path.Combine(Root(dataFolder), spec.JobId, spec.Fence.ToString(CultureInfo.InvariantCulture));
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
        Directory.CreateDirectory(path);
        var folder = new JobFolder(path);
        try
        {
            foreach ((string name, string blob) in inputs)
                HardLink.CreateOrCopy(blob, folder.Resolve(name));
            // The description comes last: where it is, all that it names is.
            AtomicFile.WriteAllBytes(folder.Resolve(JobSpec.FileName), JsonSerializer.SerializeToUtf8Bytes(spec, JobJson.Default.JobSpec));
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>A file that the trainer names; it may not lead out of the folder.</summary>
    /// <exception cref="ChildProtocolException">It does.</exception>
    public string Resolve(string name)
    {
        string full = System.IO.Path.GetFullPath(System.IO.Path.Combine(Path, name));
        return full.StartsWith(Path + System.IO.Path.DirectorySeparatorChar, StringComparison.Ordinal)
            ? full
            : throw new ChildProtocolException($"The trainer named the file '{name}', which is not in its folder {Path}.");
    }

    public string ResolveOutput(OutputFile file) => Resolve(System.IO.Path.Combine(AdapterFolder, file.Name));

    public void Dispose() => Remove(Path);

    /// <summary>What a killed server left: first its trainers must be gone, then their folders go.</summary>
    public static async Task RemoveLeftoversAsync(string dataFolder, TimeSpan grace, ILogger logger, TimeProvider clock, CancellationToken cancellationToken)
    {
        string root = Root(dataFolder);
        if (!Directory.Exists(root))
            return;
        await LeftoverProcesses.EndAsync(root, grace, logger, clock, cancellationToken);
        foreach (string job in Directory.EnumerateDirectories(root))
            Directory.Delete(job, recursive: true);
    }

    private static void Remove(string path)
    {
        try
        {
            if (!Directory.Exists(path))
                return;
            Directory.Delete(path, recursive: true);
            string job = System.IO.Path.GetDirectoryName(path)!;
            if (Directory.Exists(job) && !Directory.EnumerateFileSystemEntries(job).Any())
                Directory.Delete(job);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // No reason to lose a result over it; the next start of the worker removes what is left.
        }
    }
}
