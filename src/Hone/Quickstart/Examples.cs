using System.Text.Json;

namespace Hone.Quickstart;

/// <summary>A held-out question and the answer it should get.</summary>
internal sealed record Question(string Text, string Expected);

/// <summary>The three files of an example: what is trained on, what is watched meanwhile, what is asked afterwards.</summary>
internal sealed record Examples(string Training, string Validation, IReadOnlyList<Question> Questions)
{
    public const string Folder = "examples/support-triage";

    /// <param name="folder">Null: the example that comes with Hone, beside the executable or in the repository around it.</param>
    public static Examples Open(string? folder)
    {
        folder ??= Find() ?? throw new CliException($"The folder {Folder} was not found around {AppContext.BaseDirectory}.", "name a folder with train.jsonl, valid.jsonl and test.jsonl with --examples.");
        string test = Needed(folder, "test.jsonl");
        return new Examples(Needed(folder, "train.jsonl"), Needed(folder, "valid.jsonl"), [.. Read(test)]);
    }

    private static string Needed(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        return File.Exists(path) ? path : throw new CliException($"{path} does not exist.", "the folder of --examples holds train.jsonl, valid.jsonl and test.jsonl.");
    }

    private static string? Find()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            string path = Path.Combine(at.FullName, Folder);
            if (Directory.Exists(path))
                return path;
        }
        return null;
    }

    private static IEnumerable<Question> Read(string path)
    {
        int number = 0;
        foreach (string line in File.ReadLines(path))
        {
            number++;
            if (line.Length == 0)
                continue;
            Question? question;
            try
            {
                using JsonDocument row = JsonDocument.Parse(line);
                JsonElement messages = row.RootElement.GetProperty("messages");
                question = messages.GetArrayLength() == 2
                    ? new Question(messages[0].GetProperty("content").GetString() ?? "", messages[1].GetProperty("content").GetString() ?? "")
                    : null;
            }
            catch (Exception broken) when (broken is JsonException or InvalidOperationException or KeyNotFoundException)
            {
                throw new CliException($"{path}, line {number}: {broken.Message}", "a line is {\"messages\":[{\"role\":\"user\",\"content\":…},{\"role\":\"assistant\",\"content\":…}]}.", broken);
            }
            yield return question ?? throw new CliException($"{path}, line {number} has not exactly two messages.", "a line is one question and the answer it should get.");
        }
    }
}
