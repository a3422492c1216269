namespace Example;

/// <summary>A shop.</summary>
public sealed class Shop
{
    [Obsolete]
    public int Count(string name)
    {
        return name.Length;
    }
}
