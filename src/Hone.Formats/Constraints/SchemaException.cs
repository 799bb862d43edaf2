namespace Hone.Formats.Constraints;

/// <summary>A JSON Schema that cannot be enforced.</summary>
/// <param name="path">JSON path of what is at fault, from the schema's root <c>$</c>.</param>
/// <param name="reason">What is wrong there, and what to do.</param>
public sealed class SchemaException(string path, string reason) : Exception($"{path}: {reason}")
{
    public string Path => path;

    public string Reason => reason;
}
