namespace Hone.Formats.TrainingData;

/// <summary>Who speaks, in OpenAI's chat format.</summary>
public static class ChatRoles
{
    public static IReadOnlyList<string> All { get; } = ["system", "developer", "user", "assistant", "tool", "function"];

    /// <summary>The role as chat templates know it: <c>developer</c> is <c>system</c>, the older <c>function</c> is <c>tool</c>.</summary>
    public static string Plain(string role) => role switch { "developer" => "system", "function" => "tool", _ => role };
}
