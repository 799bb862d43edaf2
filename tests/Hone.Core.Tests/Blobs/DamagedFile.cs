namespace Hone.Core.Tests.Blobs;

/// <summary>What a failing disk does.</summary>
internal static class DamagedFile
{
    public static void FlipBit(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        bytes[bytes.Length / 2] ^= 1;
        Replace(path, bytes);
    }

    public static void Replace(string path, byte[] bytes)
    {
        File.Delete(path); // it is not to be written
        File.WriteAllBytes(path, bytes);
    }
}
