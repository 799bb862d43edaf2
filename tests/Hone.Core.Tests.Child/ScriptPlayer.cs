using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Hone.Formats.Files;
using Hone.Formats.Jobs;

namespace Hone.Core.Tests.Child;

/// <summary>
/// Plays <c>[train]</c> or <c>[prove]</c> of a script; <c>[train 2]</c> is preferred for the attempt whose fence is 2. A line a deed:
/// <c>out TEXT</c>, <c>err TEXT</c>, <c>long BYTES</c> (a line of that many bytes), <c>step N OF</c>, <c>checkpoint N</c>, <c>resumed</c> (started, from the checkpoint's step), <c>finish</c>, <c>proven</c>,
/// <c>adapter-tamper</c>, <c>beat COUNT</c> (heartbeats), <c>environment</c>, <c>spawn</c>, <c>asked</c> (until the worker asks for a pause), <c>paused N</c>, <c>adapter N</c> (of a step), <c>hang</c> (until the life line ends), <c>deaf</c> (for ever), <c>wait FIFO</c>, <c>tell FIFO</c>, <c>kill</c>, <c>exit CODE</c>.
/// </summary>
internal sealed class ScriptPlayer(string script, string command, string folder)
{
    private readonly Stream _out = Console.OpenStandardOutput();
    private int _step;

    public int Run()
    {
        foreach (string line in Section())
        {
            string[] words = line.Split(' ', 2);
            string rest = words.Length > 1 ? words[1] : "";
            if (words[0] == "exit")
                return int.Parse(rest, CultureInfo.InvariantCulture);
            Do(words[0], rest);
        }
        return 0;
    }

    private void Do(string deed, string rest)
    {
        switch (deed)
        {
            case "out": Write(rest); break;
            case "err": Console.Error.WriteLine(rest); break;
            case "long": Write(new string('x', int.Parse(rest, CultureInfo.InvariantCulture))); break;
            case "started": Emit(new TrainerEvent.Started(0, Environment.ProcessId)); break;
            case "resumed": Resume(); break;
            case "step": Step(rest.Split(' ')); break;
            case "checkpoint": Checkpoint(int.Parse(rest, CultureInfo.InvariantCulture)); break;
            case "finish": Finish(); break;
            case "adapter-tamper": File.AppendAllText(Path.Combine(folder, "adapter", "adapter_model.safetensors"), "!"); break;
            case "proven": Proven(); break;
            case "beat": Beat(int.Parse(rest, CultureInfo.InvariantCulture)); break;
            case "failed": Emit(new TrainerEvent.Failed(rest.Split(' ')[0], rest[(rest.IndexOf(' ') + 1)..])); break;
            case "environment": Write(string.Join(' ', Environment.GetEnvironmentVariables().Keys.Cast<string>().Order(StringComparer.Ordinal))); break;
            case "spawn": Write(Process.Start("sleep", "1000").Id.ToString(CultureInfo.InvariantCulture)); break;
            case "hang": UntilLifeLineEnds(); break;
            case "asked": UntilAsked(); break;
            case "paused": Emit(new TrainerEvent.Paused(int.Parse(rest, CultureInfo.InvariantCulture))); break;
            case "adapter": Adapter(int.Parse(rest, CultureInfo.InvariantCulture)); break;
            case "deaf": new ManualResetEventSlim().Wait(); break;
            case "wait": using (var fifo = new FileStream(rest, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0)) fifo.ReadByte(); break;
            case "tell": using (var fifo = new FileStream(rest, FileMode.Open, FileAccess.Write)) fifo.WriteByte(1); break;
            case "kill": Native.KillSelf(); break;
            default: throw new InvalidDataException($"unknown deed '{deed}'");
        }
    }

    /// <summary>Ten a second.</summary>
    private void Beat(int count)
    {
        using var never = new ManualResetEventSlim();
        for (int i = 0; i < count; i++)
        {
            Emit(new TrainerEvent.Heartbeat(i));
            never.Wait(100);
        }
    }

    private static void UntilLifeLineEnds()
    {
        using Stream input = Console.OpenStandardInput();
        if (input.ReadByte() < 0)
            Environment.Exit(70);
    }

    private static void UntilAsked()
    {
        if (Console.In.ReadLine() != JobFiles.PauseLine)
            Environment.Exit(70);
    }

    private void Adapter(int step)
    {
        string name = $"adapters/{step}";
        Directory.CreateDirectory(Path.Combine(folder, name));
        string[] names = [$"{name}/adapter_config.json", $"{name}/adapter_model.safetensors"];
        foreach (string file in names)
            File.WriteAllText(Path.Combine(folder, file), $"{Path.GetFileName(file)}@{step}");
        OutputFile[] files = [.. names.Select(n => new OutputFile(n, new FileInfo(Path.Combine(folder, n)).Length, Hash(Path.Combine(folder, n))))];
        Emit(new TrainerEvent.AdapterSaved(step, files, new CheckpointMetrics(step, 1.0 / step, 0.5, null, null)));
    }

    private IEnumerable<string> Section()
    {
        string[] lines = File.ReadAllLines(script);
        string numbered = $"[{command} {Path.GetFileName(folder.TrimEnd('/'))}]";
        int start = Array.IndexOf(lines, numbered);
        if (start < 0)
            start = Array.IndexOf(lines, $"[{command}]");
        return start < 0
            ? throw new InvalidDataException($"no section [{command}]")
            : lines.Skip(start + 1).TakeWhile(l => !l.StartsWith('[')).Where(l => l.Length > 0);
    }

    private JobSpec Spec() => JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(folder, JobSpec.FileName)), JobJson.Default.JobSpec)!;

    /// <summary>A checkpoint's text is its step; the "adapter" at the end is a sum over all steps, so that it shows whether one was lost or done twice.</summary>
    private void Resume()
    {
        if (Spec().ResumeFrom is { } file)
            _step = int.Parse(File.ReadAllText(Path.Combine(folder, file)), CultureInfo.InvariantCulture);
        Emit(new TrainerEvent.Started(_step, Environment.ProcessId));
    }

    private void Step(string[] words)
    {
        int number = int.Parse(words[0], CultureInfo.InvariantCulture);
        int of = int.Parse(words[1], CultureInfo.InvariantCulture);
        if (number <= _step)
            return;
        _step = number;
        Emit(new TrainerEvent.Step(number, of, (double)number / of, 1.0 / number, 0.5, 1e-3, 1, 100, 2, number * 100, number * 10, of - number));
    }

    private void Checkpoint(int step)
    {
        if (step < _step)
            return;
        string path = Path.Combine(folder, "checkpoint.safetensors");
        AtomicFile.WriteAllText(path, step.ToString(CultureInfo.InvariantCulture));
        Emit(new TrainerEvent.Checkpoint(step, "checkpoint.safetensors", Hash(path)));
    }

    private void Finish()
    {
        Directory.CreateDirectory(Path.Combine(folder, "adapter"));
        File.WriteAllText(Path.Combine(folder, "adapter", "adapter_config.json"), "{\"r\":8}");
        File.WriteAllText(Path.Combine(folder, "adapter", "adapter_model.safetensors"), $"{File.ReadAllText(Path.Combine(folder, Spec().TrainingData))}@{_step}");
        Emit(new TrainerEvent.Finished(Outputs("adapter_config.json", "adapter_model.safetensors"), new FinalMetrics
        {
            Steps = _step,
            Epochs = 1,
            Rows = 4,
            TrainedTokens = 40,
            FirstLoss = 1,
            TrainLoss = 0.1,
            TrainSeconds = 1,
            PeakMemoryMb = 100,
        }));
    }

    private void Proven()
    {
        File.WriteAllText(Path.Combine(folder, "adapter", "report.json"), "{}");
        Emit(new TrainerEvent.Proven(1e-6, 0.2, 8, Outputs("report.json")));
    }

    private OutputFile[] Outputs(params string[] names) =>
        [.. names.Select(n => (n, path: Path.Combine(folder, "adapter", n))).Select(f => new OutputFile(f.n, new FileInfo(f.path).Length, Hash(f.path)))];

    private static string Hash(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));

    private void Emit(TrainerEvent e) => Write(JsonSerializer.Serialize(e, JobJson.Default.TrainerEvent));

    private void Write(string line)
    {
        _out.Write(Encoding.UTF8.GetBytes(line + "\n"));
        _out.Flush();
    }
}
