using System.Security.Cryptography;
using Hone.Formats.Jobs;

namespace Hone.Training;

internal static class OutputFiles
{
    public static OutputFile Describe(string folder, string name)
    {
        using FileStream stream = File.OpenRead(Path.Combine(folder, name));
        return new OutputFile(name, stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)));
    }
}
